"""The fate that an address chooses by its own spelling, so that anybody can see every path without writing a fault rule."""

from enum import Enum

__all__ = ["Fate", "Fates", "fate_of_token", "fate_of_word"]


class Fate(Enum):
    """What becomes of calls to an address."""

    TAKEN = "taken"
    GONE = "gone"
    BUSY = "busy"
    REFUSED = "refused"


def fate_of_word(address: str) -> Fate:
    """Read the fate of an FCM token, a Web Push endpoint or a mail address."""
    if "unregistered" in address:
        return Fate.GONE
    if "busy" in address:
        return Fate.BUSY
    if "refused" in address:
        return Fate.REFUSED
    return Fate.TAKEN


def fate_of_token(token: str) -> Fate:
    """Read the fate of an APNs device token, which has room for hexadecimal words only."""
    match token[:4].lower():
        case "dead":
            return Fate.GONE
        case "b005":
            return Fate.BUSY
        case "bad0":
            return Fate.REFUSED
        case _:
            return Fate.TAKEN


class Fates:
    """Settles fates over time: a busy address is busy once. Beyond `capacity` busy addresses the oldest is forgotten."""

    def __init__(self, *, capacity: int = 100_000) -> None:
        self._capacity = capacity
        self._met: dict[str, None] = {}

    def settle(self, address: str, fate: Fate) -> Fate:
        """Tell what happens to this very call; a busy address met before is taken."""
        if fate is not Fate.BUSY:
            return fate
        if address in self._met:
            return Fate.TAKEN
        if len(self._met) >= self._capacity:
            del self._met[next(iter(self._met))]
        self._met[address] = None
        return Fate.BUSY

    def clear(self) -> None:
        self._met.clear()
