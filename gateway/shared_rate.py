"""A rate per key that is judged at once, and counted over all nodes soon after.

Whoever asks at the door must not wait for Redis: a WebSocket's upgrade and a client's command are judged within one call. So
each node judges by the generic cell rate algorithm on what it knows, and every interval it spends what it let through from the
allowance that all nodes share; the answer says how much of it the others have used, and from then on this node knows. So a key
can get ahead of its rate by what the nodes let through between two tellings; what was too much is paid later. What is not a
sixteenth of the rate in an interval is not told: a key that is so slow on each of sixteen nodes is within its rate.

While the engine is away each node judges alone: nobody is kept out because Redis is, and nobody gets more than once the rate
per node. No key costs a timer: what waits to be told is told by one task, and nothing is told while nothing is asked.
"""

import asyncio
import functools
import math
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from broker.errors import EngineUnavailable
from broker.limits import Allowance, Limits, Rate
from config.clock import Clock
from gateway.tasks import Tasks

__all__ = ["SharedRate"]

_KEYS: Final = 100_000
_AT_ONCE: Final = 64
_QUIET_S: Final = 5.0  # after a call that the engine did not answer
_SMALL_SHARE: Final = 1 / 16
_BURSTS_TO_THE_END: Final = 2.0
_GRAIN: Final = 1e-6  # a burst is a sum of intervals, and sums of floats miss by a little


class SharedRate:
    """One limit of the door."""

    def __init__(
        self,
        name: str,
        rate: Rate,
        clock: Clock,
        *,
        limits: Limits | None = None,
        tasks: Tasks | None = None,
        after: Callable[[float, Callable[[], None]], None] | None = None,
        interval_s: float = 0.1,
        refused_cost: float = 0.0,
    ) -> None:
        """Make it.

        Args:
            name: What its keys begin with in the engine, and its metric's label.
            limits: Where nodes share allowances; None where there are no others. It needs `tasks` and `after`.
            tasks: Owns the telling.
            after: Calls back after so many seconds.
            interval_s: How often it tells.
            refused_cost: Which share of one is spent by asking in vain; then whoever spends two bursts gets an infinite wait.
        """
        self.name, self.rate = name, rate
        self.refused = self.untold = 0
        self._clock, self._limits, self._tasks, self._after = clock, limits, tasks, after
        self._interval_s, self._refused_cost = interval_s, refused_cost
        self._whole_at: OrderedDict[str, float] = OrderedDict()
        self._owed: dict[str, int] = {}
        self._debts: dict[str, int] = {}  # of those, what was told before and could not be paid then
        self._is_telling = False
        self._quiet_until = 0.0

    def spend(self, key: str) -> float:
        """Spend one; tells 0.0, or how many seconds to wait. Infinity where refusals cost, and it has been too many."""
        now = self._clock.monotonic()
        interval_s = 1 / self.rate.per_s
        burst_s = self.rate.burst * interval_s
        ahead_s = max(0.0, self._whole_at.get(key, 0.0) - now)
        wait_s = ahead_s + interval_s - burst_s
        if wait_s <= _GRAIN:
            self._note(key, now + ahead_s + interval_s, now)
            if self._limits is not None:
                self._owe(key, 1)
            return 0.0
        self.refused += 1
        if self._refused_cost:
            ahead_s += interval_s * self._refused_cost
            self._note(key, now + ahead_s, now)
            if ahead_s > _BURSTS_TO_THE_END * burst_s:
                return math.inf
        return wait_s

    def look(self, key: str) -> Allowance:
        """Tell what a key has left, and how long it would wait."""
        ahead_s = max(0.0, self._whole_at.get(key, 0.0) - self._clock.monotonic())
        left = self.rate.burst - ahead_s * self.rate.per_s
        wait_s = max(0.0, (1 - left) / self.rate.per_s)
        return Allowance(wait_s if wait_s > _GRAIN else 0.0, max(0, int(left + _GRAIN)), ahead_s)

    def __len__(self) -> int:
        return len(self._whole_at)

    def _note(self, key: str, whole_at: float, now: float) -> None:
        """Keep when a key's burst is whole again. Keys that are whole need not be kept; beyond the most, the oldest go."""
        kept = self._whole_at
        kept[key] = whole_at
        kept.move_to_end(key)
        oldest = next(iter(kept))
        if kept[oldest] <= now or len(kept) > _KEYS:
            del kept[oldest]

    def _owe(self, key: str, count: int) -> None:
        self._owed[key] = self._owed.get(key, 0) + count
        if not self._is_telling:
            assert self._after is not None
            self._is_telling = True
            self._after(self._interval_s, self._begin_to_tell)

    def _owe_still(self, key: str, debt: int) -> None:
        self._debts[key] = self._debts.get(key, 0) + debt
        self._owe(key, 0)

    def _begin_to_tell(self) -> None:
        assert self._tasks is not None
        self._tasks.spawn(self._tell(), f"limit.{self.name}")

    async def _tell(self) -> None:
        """Spend what was let through from the allowances that all share, and learn what is left of them."""
        owed, self._owed, self._is_telling = self._owed, {}, False
        debts, self._debts = self._debts, {}
        least, most = self.rate.per_s * self._interval_s * _SMALL_SHARE, self.rate.burst
        # Of what is new no more than a burst: what goes beyond it the time has brought that passed since the last telling.
        due = [(key, min(count, most) + debt) for key, count in owed.items() if count + (debt := debts.get(key, 0)) >= least]
        for start in range(0, len(due), _AT_ONCE):
            if self._clock.monotonic() < self._quiet_until:
                self.untold += len(due) - start
                return
            await asyncio.gather(*(self._tell_one(key, count) for key, count in due[start : start + _AT_ONCE]))

    async def _tell_one(self, key: str, count: int) -> None:
        cost = min(count, self.rate.burst)
        try:
            allowance, debt = await self._pay(key, cost)
        except EngineUnavailable:
            self.untold += 1
            self._quiet_until = self._clock.monotonic() + _QUIET_S
            return
        debt += count - cost
        debt_s = debt / self.rate.per_s
        if debt:
            # What they would not give was let through all the same: this node waits as if it had been spent, and pays later.
            wait_s = allowance.whole_in_s + debt_s - self.rate.burst / self.rate.per_s
            assert self._after is not None
            self._after(max(self._interval_s, wait_s), functools.partial(self._owe_still, key, debt))
        now = self._clock.monotonic()
        whole_at = now + allowance.whole_in_s + debt_s
        if whole_at > self._whole_at.get(key, 0.0):
            self._note(key, whole_at, now)

    async def _pay(self, key: str, cost: int) -> tuple[Allowance, int]:
        """Spend as much as is there of what was let through, and tell how much is owed still.

        The allowance gives whole costs only. What is less than this one must not be left in it: it would be given to other
        nodes, who let more through because they cannot know that it is gone.
        """
        assert self._limits is not None
        name = f"{self.name}:{key}"
        allowance = await self._limits.spend(name, self.rate, cost=cost)
        if allowance.wait_s <= 0:
            return allowance, 0
        if not (part := allowance.remaining):
            return allowance, cost
        allowance = await self._limits.spend(name, self.rate, cost=part)
        return allowance, cost if allowance.wait_s > 0 else cost - part
