"""How fast anybody may knock: by address and by user, on handshakes, commands, calls and logins (`[limits]`).

Nothing here is asked unless it is set: a node without limits has no door, and its hot paths look at a None.
"""

import functools
import ipaddress
from collections.abc import Callable, Sequence
from typing import Final
from urllib.parse import urlsplit

import msgspec

from broker.limits import Limits, Rate
from config.clock import Clock
from config.door_settings import DoorRateSettings, LimitsSettings
from config.settings import Settings
from gateway.addresses import network_of
from gateway.api.rate_headers import rate_headers
from gateway.session.command_rate import CommandRate, Hurried, Pace
from gateway.shared_rate import SharedRate
from gateway.tasks import Tasks

__all__ = ["CommandPace", "Door", "Verdict", "door_of", "rate_of"]

_COMMANDS_INTERVAL_S: Final = 1.0
_ENDLESS: Final = float("inf")
_REFUSED_COMMAND_COST: Final = 0.25  # as for one client (`gateway.session.command_rate`)


class Verdict(msgspec.Struct, frozen=True):
    """Whether somebody may come in, and what their rate says: headers in lower case."""

    is_refused: bool
    headers: list[tuple[bytes, bytes]]
    retry_after_s: int = 0


_FREE: Final = Verdict(is_refused=False, headers=[])


class Door:
    """The limits that are set; each is None where it is not."""

    def __init__(self, settings: LimitsSettings, make: Callable[[str, DoorRateSettings], SharedRate | None]) -> None:
        self.handshakes = make("handshakes_per_address", settings.handshakes_per_address)
        self.users = make("handshakes_per_user", settings.handshakes_per_user)
        self.commands = make("commands_per_user", settings.commands_per_user)
        self.emulation = make("emulation_per_address", settings.emulation_per_address)
        self.calls = make("calls_per_address", settings.calls_per_address)
        self.logins = make("auth_per_address", settings.auth_per_address)
        self._exempt = tuple(ipaddress.ip_network(text) for text in settings.exempt)
        self._ipv6_prefix = settings.ipv6_prefix
        # Reading an address costs more than judging it.
        self._key_of = functools.lru_cache(maxsize=8192)(self._read_key)

    @property
    def rates(self) -> Sequence[SharedRate]:
        """All that are set."""
        every = (self.handshakes, self.users, self.commands, self.emulation, self.calls, self.logins)
        return [rate for rate in every if rate is not None]

    def knock(self, address: str) -> Verdict:
        """Count a handshake from an address."""
        return _FREE if self.handshakes is None else self._judge(self.handshakes, address)

    def ask(self, path: str, address: str) -> Verdict:
        """Count an HTTP request from an address by where it goes."""
        rate = self._rate_of(path)
        return _FREE if rate is None else self._judge(rate, address)

    def _rate_of(self, path: str) -> SharedRate | None:
        if path.startswith("/api/"):
            return self.calls
        if path.startswith("/connection/"):
            return self.handshakes
        if path.startswith("/auth/"):
            return self.logins
        return self.emulation if path == "/emulation" else None

    def _judge(self, rate: SharedRate, address: str) -> Verdict:
        key = self._key_of(address)
        if key is None:
            return _FREE
        wait_s = rate.spend(key)
        headers = rate_headers(rate.rate, msgspec.structs.replace(rate.look(key), wait_s=wait_s))
        return Verdict(wait_s > 0, headers, max(1, -int(-wait_s // 1)) if wait_s > 0 else 0)

    def _read_key(self, address: str) -> str | None:
        """Tell what an address is counted by; None where nobody counts it."""
        try:
            at = ipaddress.ip_address(address)
        except ValueError:
            return address
        if any(at.version == network.version and at in network for network in self._exempt):
            return None
        return network_of(address, self._ipv6_prefix)


class CommandPace:
    """Judges commands by a user's rate, and by a client's own where there is one; plays `CommandRate` for sessions."""

    def __init__(self, per_user: SharedRate, per_client: CommandRate | None) -> None:
        self._per_user, self._per_client = per_user, per_client

    def judge(self, client: Hurried) -> Pace:
        """Count a command that has just come. Who has not said who they are is counted by the client alone."""
        if self._per_client is not None and (pace := self._per_client.judge(client)) is not Pace.FITS:
            return pace
        if not client.user or not (wait_s := self._per_user.spend(client.user)):
            return Pace.FITS
        return Pace.TOO_FAST if wait_s < _ENDLESS else Pace.RECKLESS


def rate_of(settings: DoorRateSettings) -> Rate | None:
    """Give the rate that settings ask for; None for none."""
    return Rate(settings.per_s, settings.burst) if settings.per_s else None


def door_of(
    settings: Settings, limits: Limits, tasks: Tasks, after: Callable[[float, Callable[[], None]], None], clock: Clock
) -> Door | None:
    """Make the door that the settings ask for; None where they set no limit."""
    # In memory there is nobody to share with, and what one process knows is all there is.
    shared = None if urlsplit(settings.broker.url).scheme == "memory" else limits

    def make(name: str, settings: DoorRateSettings) -> SharedRate | None:
        if (rate := rate_of(settings)) is None:
            return None
        is_commands = name == "commands_per_user"
        return SharedRate(
            f"door.{name}",
            rate,
            clock,
            limits=shared,
            tasks=tasks,
            after=after,
            interval_s=_COMMANDS_INTERVAL_S if is_commands else 0.1,
            refused_cost=_REFUSED_COMMAND_COST if is_commands else 0.0,
        )

    door = Door(settings.limits, make)
    return door if door.rates else None
