"""Rates that hold across all nodes, by the server's clock."""

from math import inf
from typing import Final

from broker.engines.redis.link import Link
from broker.engines.redis.places import Places
from broker.engines.redis.scripts import load_script
from broker.limits import Allowance, Rate, allowance_of

__all__ = ["RedisLimits"]

_LIMIT_ACQUIRE: Final = load_script("limit_acquire")


class RedisLimits:
    """The port Limits. A key's moment goes from the server by itself once it has passed."""

    def __init__(self, link: Link, places: Places) -> None:
        self._link, self._places = link, places

    async def acquire(self, key: str, rate: Rate, *, cost: int = 1) -> float:
        if cost > rate.burst:
            return inf
        return max(0.0, await self._spend(key, rate, cost))

    async def spend(self, key: str, rate: Rate, *, cost: int = 1) -> Allowance:
        if cost > rate.burst:
            return Allowance(inf, 0, inf)
        return allowance_of(await self._spend(key, rate, cost), rate, cost)

    async def _spend(self, key: str, rate: Rate, cost: int) -> float:
        """Spend from an allowance: tells the wait in seconds, or as a negative number when it will be whole again."""
        told_us = await self._link.run(_LIMIT_ACQUIRE, [self._places.limit(key)], [rate.per_s, rate.burst, cost])
        return float(told_us) / 1e6
