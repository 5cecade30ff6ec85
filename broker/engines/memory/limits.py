"""Rates of a single process, by the generic cell rate algorithm (ITU-T I.371, annex A).

For each key one moment is kept: when its allowance would be whole again. Spending moves it on by `cost / per_s`; it may lie
at most `burst / per_s` ahead of now. A moment that has passed says the same as none, so it is swept.
"""

from collections.abc import Sequence
from math import inf
from typing import Final

from broker.engines.memory.deadlines import SWEEP, Deadlines
from broker.limits import Allowance, Claim, Rate, allowance_of
from config.clock import Clock

__all__ = ["MemoryLimits"]

# A thousandth of a millisecond: sums of floats must not refuse what was promised for just this moment.
_ROUNDING_S: Final = 1e-6

# Group and key; those of `acquire` and `spend` are in none, and a group's name gets a letter before it.
_Name = tuple[str, str]


class MemoryLimits:
    """The port Limits."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._whole_at_by_name: dict[_Name, float] = {}
        self._ends: Deadlines[_Name] = Deadlines()

    async def acquire(self, key: str, rate: Rate) -> float:
        return max(0.0, self._spend(key, rate, 1))

    async def spend(self, key: str, rate: Rate, *, cost: int = 1) -> Allowance:
        if cost > rate.burst:
            return Allowance(inf, 0, inf)
        return allowance_of(self._spend(key, rate, cost), rate, cost)

    async def acquire_all(self, group: str, claims: Sequence[Claim]) -> Sequence[float]:
        told_s = self._decide([((f"g{group}", claim.key), claim.rate, 1) for claim in claims])
        return [max(0.0, one_s) for one_s in told_s]

    def _spend(self, key: str, rate: Rate, cost: int) -> float:
        """Spend from an allowance: tells the wait in seconds, or as a negative number when it will be whole again."""
        (told_s,) = self._decide([(("", key), rate, cost)])
        return told_s

    def _decide(self, asked: Sequence[tuple[_Name, Rate, int]]) -> list[float]:
        """Spend from all or from none; tells of each the wait, or as a negative number when it would be whole again."""
        now = self._clock.monotonic()
        self._sweep(now)
        whole_at_by_name: dict[_Name, float] = {}
        told_s = []
        for name, rate, cost in asked:
            whole_at = max(self._whole_at_by_name.get(name, now), now) + cost / rate.per_s
            wait_s = whole_at - rate.burst / rate.per_s - now
            whole_at_by_name[name] = whole_at
            told_s.append(wait_s if wait_s > _ROUNDING_S else now - whole_at)
        if max(told_s) <= 0:
            for name, whole_at in whole_at_by_name.items():
                if name not in self._whole_at_by_name:
                    self._ends.note(whole_at, name)
                self._whole_at_by_name[name] = whole_at
        return told_s

    def clear(self) -> None:
        """Make every allowance whole."""
        self._whole_at_by_name.clear()
        self._ends = Deadlines()

    def __len__(self) -> int:
        """Count the keys whose allowance is held."""
        return len(self._whole_at_by_name)

    def _sweep(self, now: float) -> None:
        for _ in range(SWEEP):
            if (due := self._ends.pop_due(now)) is None:
                return
            name = due[1]
            whole_at = self._whole_at_by_name[name]
            if whole_at <= now:
                del self._whole_at_by_name[name]
            else:
                self._ends.note(whole_at, name)
