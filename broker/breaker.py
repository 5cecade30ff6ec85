"""The circuit breaker: stops calling a service that fails, and finds out carefully whether it is back.

CLOSED lets everything through and looks at the last calls; too many failures open it. OPEN lets nothing through until its
time has passed. HALF_OPEN lets one call through, and once that went well a few at a time; a run of successes closes it, one
failure opens it again, for twice as long as the time before, up to a cap. Once closed, all is forgiven.

A *permit* is the number of the state's life in which a call began. A call that ends in another life says nothing about this
one and is not counted: what began before the breaker opened cannot close it, nor open it a second time.

Two figures are easily confused: the decision looks at the last `window` calls, but only once there were `min_calls` within
`calls_within_s`: a service that is hardly used is not judged by chance.
"""

from collections import deque
from collections.abc import Mapping
from enum import Enum, StrEnum
from typing import Final

import msgspec

__all__ = ["NEXT", "Breaker", "BreakerEvent", "BreakerRules", "BreakerState"]


class BreakerState(StrEnum):
    """What the breaker lets through."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class BreakerEvent(Enum):
    """What moves it."""

    TRIPPED = "too many failures"
    ELAPSED = "the time of rest has passed"
    PROVED = "enough successes in a row"
    FAILED = "a probe failed"


# The whole life of a breaker; anything not listed is a bug of ours.
NEXT: Final[Mapping[tuple[BreakerState, BreakerEvent], BreakerState]] = {
    (BreakerState.CLOSED, BreakerEvent.TRIPPED): BreakerState.OPEN,
    (BreakerState.OPEN, BreakerEvent.ELAPSED): BreakerState.HALF_OPEN,
    (BreakerState.HALF_OPEN, BreakerEvent.PROVED): BreakerState.CLOSED,
    (BreakerState.HALF_OPEN, BreakerEvent.FAILED): BreakerState.OPEN,
}


# Beyond it the power of two would only overflow; every cap is reached long before.
_MAX_DOUBLINGS: Final = 60


class BreakerRules(msgspec.Struct, frozen=True):
    """The figures.

    It opens when `failure_ratio` of the last `window` calls failed, or took longer than `slow_s`, and there were `min_calls`
    within `calls_within_s`. It stays open for `open_s`, twice as long with each reopening, at most `open_cap_s`; a share
    `open_spread` of that more or less is drawn. Half open, `probes` may be under way; `successes` in a row close it.
    """

    window: int = 10
    failure_ratio: float = 0.5
    min_calls: int = 20
    calls_within_s: float = 60.0
    slow_s: float = 5.0
    open_s: float = 60.0
    open_cap_s: float = 600.0
    open_spread: float = 0.1
    probes: int = 5
    successes: int = 5


class Breaker:
    """One service's breaker. Pure with respect to time: every method is handed a monotonic reading."""

    def __init__(self, rules: BreakerRules | None = None) -> None:
        self.rules = rules or BreakerRules()
        self._state = BreakerState.CLOSED
        self._life = 0
        # Newest last: when a call ended and whether it failed.
        self._calls: deque[tuple[float, bool]] = deque(maxlen=max(self.rules.min_calls, self.rules.window))
        self._open_until = 0.0
        self._reopened = 0
        self._probing = 0
        self._succeeded = 0

    def state(self, now: float) -> BreakerState:
        """Tell the state at a moment; an opening that has passed becomes half open by being looked at."""
        if self._state is BreakerState.OPEN and now >= self._open_until:
            self._move(BreakerEvent.ELAPSED)
        return self._state

    def blocked_s(self, now: float) -> float:
        """Tell for how long nothing will pass; 0 unless open."""
        return self._open_until - now if self.state(now) is BreakerState.OPEN else 0.0

    def begin(self, now: float) -> int | None:
        """Ask to make a call.

        Returns:
            A permit to hand back to `end` or `abandon`, or None where the call must not be made now.
        """
        match self.state(now):
            case BreakerState.CLOSED:
                return self._life
            case BreakerState.OPEN:
                return None
            case BreakerState.HALF_OPEN:
                # One goes ahead alone; only when it has come back well do others follow.
                if self._probing >= (self.rules.probes if self._succeeded else 1):
                    return None
                self._probing += 1
                return self._life

    def end(self, permit: int, *, failed: bool, took_s: float, now: float, spread: float) -> None:
        """Tell how a call ended.

        Args:
            failed: Whether the service is to blame.
            took_s: How long it took; a slow call is a failed one.
            spread: The jitter drawn for an opening, in [0, 1).
        """
        self.state(now)
        if permit != self._life:
            return
        failed = failed or took_s > self.rules.slow_s
        if self._state is BreakerState.CLOSED:
            self._calls.append((now, failed))
            if failed and self._is_failing(now):
                self._open(BreakerEvent.TRIPPED, now, spread)
            return
        self._probing -= 1
        if failed:
            self._reopened += 1
            self._open(BreakerEvent.FAILED, now, spread)
            return
        self._succeeded += 1
        if self._succeeded >= self.rules.successes:
            self._reopened = 0
            self._move(BreakerEvent.PROVED)

    def abandon(self, permit: int) -> None:
        """Give a permit back: the call was not made, or says nothing of the service."""
        if permit == self._life and self._state is BreakerState.HALF_OPEN:
            self._probing -= 1

    def _is_failing(self, now: float) -> bool:
        calls = self._calls
        if len(calls) < self.rules.min_calls or calls[-self.rules.min_calls][0] < now - self.rules.calls_within_s:
            return False
        failures = sum(calls[index][1] for index in range(-self.rules.window, 0))
        return failures >= self.rules.failure_ratio * self.rules.window

    def _open(self, event: BreakerEvent, now: float, spread: float) -> None:
        rules = self.rules
        rest_s = min(rules.open_cap_s, rules.open_s * 2.0 ** min(self._reopened, _MAX_DOUBLINGS))
        # To both sides, and of the capped time too: the processes of a fleet do not come back in one moment.
        self._open_until = now + rest_s * (1 + rules.open_spread * (2 * spread - 1))
        self._move(event)

    def _move(self, event: BreakerEvent) -> None:
        self._state = NEXT[self._state, event]
        self._life += 1
        self._calls.clear()
        self._probing = self._succeeded = 0
