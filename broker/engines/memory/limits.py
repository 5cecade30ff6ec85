"""Rates of a single process, by the generic cell rate algorithm (ITU-T I.371, annex A).

For each key one moment is kept: when its allowance would be whole again. Spending moves it on by `cost / per_s`; it may lie
at most `burst / per_s` ahead of now. A moment that has passed says the same as none, so it is swept.
"""

from math import inf

from broker.engines.memory.deadlines import SWEEP, Deadlines
from broker.limits import Allowance, Rate, allowance_of
from config.clock import Clock

__all__ = ["MemoryLimits"]

# A thousandth of a millisecond: sums of floats must not refuse what was promised for just this moment.
_ROUNDING_S = 1e-6


class MemoryLimits:
    """The port Limits."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._whole_at_by_key: dict[str, float] = {}
        self._ends: Deadlines[str] = Deadlines()

    async def acquire(self, key: str, rate: Rate, *, cost: int = 1) -> float:
        return inf if cost > rate.burst else max(0.0, self._spend(key, rate, cost))

    async def spend(self, key: str, rate: Rate, *, cost: int = 1) -> Allowance:
        if cost > rate.burst:
            return Allowance(inf, 0, inf)
        return allowance_of(self._spend(key, rate, cost), rate, cost)

    def _spend(self, key: str, rate: Rate, cost: int) -> float:
        """Spend from an allowance: tells the wait in seconds, or as a negative number when it will be whole again."""
        now = self._clock.monotonic()
        self._sweep(now)
        known = self._whole_at_by_key.get(key)
        whole_at = (now if known is None else max(known, now)) + cost / rate.per_s
        wait_s = whole_at - rate.burst / rate.per_s - now
        if wait_s > _ROUNDING_S:
            return wait_s
        self._whole_at_by_key[key] = whole_at
        if known is None:
            self._ends.note(whole_at, key)
        return now - whole_at

    def clear(self) -> None:
        """Make every allowance whole."""
        self._whole_at_by_key.clear()
        self._ends = Deadlines()

    def __len__(self) -> int:
        """Count the keys whose allowance is held."""
        return len(self._whole_at_by_key)

    def _sweep(self, now: float) -> None:
        for _ in range(SWEEP):
            if (due := self._ends.pop_due(now)) is None:
                return
            key = due[1]
            whole_at = self._whole_at_by_key[key]
            if whole_at <= now:
                del self._whole_at_by_key[key]
            else:
                self._ends.note(whole_at, key)
