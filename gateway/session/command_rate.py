"""How fast a client may send commands: judged on arrival, before anything is done for a command.

The generic cell rate algorithm, with one moment per client and nothing else: no timer, no bucket to fill, and a client
that is idle costs nothing. Each command moves the moment by its share of a second; how far it lies ahead of the clock says
how much of the burst is spent. What comes beyond is refused (error 111) and moves the moment by a quarter of that, so
that a client up to four times too fast gets its rate and no more, and one that is faster still runs on to the end of a
second burst, where the connection ends (3013).
"""

from enum import Enum
from typing import Final, Protocol

from config.clock import Clock
from config.settings import CommandRateSettings

__all__ = ["CommandRate", "Hurried", "Judge", "Pace", "command_rate"]

_REFUSED_COST: Final = 0.25
_BURSTS_TO_THE_END: Final = 2.0


class Pace(Enum):
    """What becomes of a command."""

    FITS = "it is handled"
    TOO_FAST = "it is refused"
    RECKLESS = "the connection ends"


class Hurried(Protocol):
    """Whose commands are counted."""

    user: str
    commands_until: float
    """The monotonic moment up to which what it sent has spent its allowance."""


class Judge(Protocol):
    """Says what becomes of a command that has just come."""

    def judge(self, client: Hurried) -> Pace:
        """Count it."""


class CommandRate:
    """The limit of all clients of a node; what one of them has spent is kept in the client."""

    __slots__ = ("_burst_s", "_clock", "_end_s", "_interval_s")

    def __init__(self, per_s: float, burst: int, clock: Clock) -> None:
        """Take a rate above 0 and a burst of 1 or more."""
        self._clock = clock
        self._interval_s = 1 / per_s
        self._burst_s = burst / per_s
        self._end_s = _BURSTS_TO_THE_END * burst / per_s

    def judge(self, client: Hurried) -> Pace:
        """Count a command that has just come."""
        now = self._clock.monotonic()
        ahead_s = max(0.0, client.commands_until - now)
        spent_s = ahead_s + self._interval_s
        # Compared with a grain of tolerance: a burst is a sum of intervals, and sums of floats miss by a little.
        if spent_s <= self._burst_s + 1e-9:
            client.commands_until = now + spent_s
            return Pace.FITS
        ahead_s += self._interval_s * _REFUSED_COST
        client.commands_until = now + ahead_s
        return Pace.TOO_FAST if ahead_s <= self._end_s else Pace.RECKLESS


def command_rate(settings: CommandRateSettings, clock: Clock) -> CommandRate | None:
    """Make the limit that the settings ask for; None for none."""
    return CommandRate(settings.per_s, settings.burst, clock) if settings.per_s else None
