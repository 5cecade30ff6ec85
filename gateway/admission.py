"""Who is let in before anything is upgraded: by connections that are open, by how fast new ones come, by how late the loop is.

Asked once per opening request of every transport. A node that is behind with the clients it has serves nobody by taking
more: whoever is turned away comes back, to another node where there is one.
"""

from collections.abc import Callable
from typing import Final

import msgspec

from broker.overrides import InForce, Kind
from config.clock import Clock
from config.settings import ClientSettings
from gateway.lag import LoopLag

__all__ = ["DRAINING", "FULL", "OVERLOADED", "REFUSED", "TOO_FAST", "Admission", "Denial"]


class Denial(msgspec.Struct, frozen=True):
    """An HTTP status with this Retry-After, in seconds; `reason` is the metric's label."""

    reason: str
    retry_after_s: int
    text: str
    status: int = 503


FULL: Final = Denial("connections", 1, "connection limit reached, try again later\n")
TOO_FAST: Final = Denial("rate", 1, "too many new connections, try again later\n")
OVERLOADED: Final = Denial("lag", 5, "overloaded, try again later\n")
DRAINING: Final = Denial("draining", 1, "shutting down, try again\n")
REFUSED: Final = Denial("override", 1, "no new connections for now, try again later\n")


class Admission:
    """The node's door."""

    def __init__(self, settings: ClientSettings, lag: LoopLag, count_open: Callable[[], int], clock: Clock) -> None:
        self.denied_by_reason = {denial.reason: 0 for denial in (FULL, TOO_FAST, OVERLOADED, DRAINING, REFUSED)}
        self._settings, self._limit, self._rate_per_s = settings, settings.connection_limit, settings.connection_rate_limit
        self._lag, self._count_open, self._clock = lag, count_open, clock
        # When an empty allowance will be full again: one second's worth may come at once (GCRA).
        self._full_at = clock.monotonic()
        self._refusal: Denial | None = None
        self._maintenance = ""

    def obey(self, overrides: InForce, *names: str) -> None:
        """Hold to what operators say of this node, by any of its names, until told otherwise."""
        limit = overrides.at_node(Kind.CONNECTION_LIMIT, *names)
        self._limit = self._settings.connection_limit if limit is None else int(limit.value or 0)
        is_refusing = overrides.at_node(Kind.REFUSE_CONNECTIONS, *names) is not None
        retry_after_s = overrides.retry_after_s(Kind.REFUSE_CONNECTIONS, self._clock.now())
        self._refusal = msgspec.structs.replace(REFUSED, retry_after_s=retry_after_s) if is_refusing else None
        self._maintenance = f"{overrides.maintenance}\n" if overrides.maintenance else ""

    def ask(self) -> Denial | None:
        """Let one more connection in, or say why not. What is let in is spent from the rate."""
        if self._refusal is not None:
            return self.deny(self._refusal)
        if self._lag.is_overloaded:
            return self.deny(OVERLOADED)
        if self._limit and self._count_open() >= self._limit:
            return self.deny(FULL)
        if self._rate_per_s and not self._spend():
            return self.deny(TOO_FAST)
        return None

    def deny(self, denial: Denial) -> Denial:
        """Count one who is turned away, and tell what the operators have for them to read."""
        self.denied_by_reason[denial.reason] += 1
        return msgspec.structs.replace(denial, text=self._maintenance) if self._maintenance else denial

    def _spend(self) -> bool:
        now = self._clock.monotonic()
        full_at = max(self._full_at, now) + 1 / self._rate_per_s
        # A thousandth is lost to rounding, not to whoever comes last in a second.
        if full_at - now > 1.001:
            return False
        self._full_at = full_at
        return True
