"""Rates that hold across all nodes, by the server's clock."""

from math import inf
from typing import Final

from broker.engines.redis.link import Link
from broker.engines.redis.places import Places
from broker.engines.redis.scripts import load_script
from broker.limits import Rate

__all__ = ["RedisLimits"]

_LIMIT_ACQUIRE: Final = load_script("limit_acquire")


class RedisLimits:
    """The port Limits. A key's moment goes from the server by itself once it has passed."""

    def __init__(self, link: Link, places: Places) -> None:
        self._link, self._places = link, places

    async def acquire(self, key: str, rate: Rate, *, cost: int = 1) -> float:
        if cost > rate.burst:
            return inf
        wait_us = await self._link.run(_LIMIT_ACQUIRE, [self._places.limit(key)], [rate.per_s, rate.burst, cost])
        return float(wait_us) / 1e6
