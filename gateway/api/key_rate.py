"""The rate of an API key: counted with all nodes together, and by this one alone while the engine is away.

A call of the API may wait for the engine, which it needs in most cases anyway, so its rate is exact where the engine answers.
Where it does not, a limit must neither keep everybody out nor let everybody through: the node goes on from what it was last
told of a key (the generic cell rate algorithm, one moment per key). So a key has at most its rate on each node, and no fresh
burst because the engine is gone. What was spent meanwhile is not told to the others later: it was within the rate.
"""

import math
from collections import OrderedDict
from typing import Final

from broker.errors import EngineUnavailable
from broker.limits import Allowance, Limits, Rate, allowance_of
from config.clock import Clock

__all__ = ["KeyRate"]

_KEYS: Final = 10_000
_QUIET_S: Final = 1.0  # after a call that the engine did not answer: not every caller has to wait for that
_GRAIN_S: Final = 1e-6  # a burst is a sum of intervals, and sums of floats miss by a little


class KeyRate:
    """Counts calls of keys.

    Attributes:
        alone: How many calls were counted by this node alone.
    """

    def __init__(self, limits: Limits, clock: Clock) -> None:
        self._limits, self._clock = limits, clock
        self._whole_at: OrderedDict[str, float] = OrderedDict()
        self._quiet_until = 0.0
        self.alone = 0

    async def spend(self, key_id: str, rate: Rate, cost: int) -> Allowance:
        """Spend `cost` from a key's allowance, whole or not at all; never raises."""
        if self._clock.monotonic() >= self._quiet_until:
            try:
                allowance = await self._limits.spend(f"api_key:{key_id}", rate, cost=cost)
            except EngineUnavailable:
                self._quiet_until = self._clock.monotonic() + _QUIET_S
            else:
                if not math.isinf(allowance.whole_in_s):
                    self._note(key_id, self._clock.monotonic() + allowance.whole_in_s)
                return allowance
        self.alone += 1
        return self._spend_alone(key_id, rate, cost)

    def _spend_alone(self, key_id: str, rate: Rate, cost: int) -> Allowance:
        if cost > rate.burst:
            return Allowance(math.inf, 0, math.inf)
        now = self._clock.monotonic()
        whole_at = max(now, self._whole_at.get(key_id, now)) + cost / rate.per_s
        wait_s = whole_at - now - rate.burst / rate.per_s
        if wait_s > _GRAIN_S:
            return allowance_of(wait_s, rate, cost)
        self._note(key_id, whole_at)
        return allowance_of(now - whole_at, rate, cost)

    def _note(self, key_id: str, whole_at: float) -> None:
        self._whole_at[key_id] = whole_at
        self._whole_at.move_to_end(key_id)
        if len(self._whole_at) > _KEYS:
            self._whole_at.popitem(last=False)
