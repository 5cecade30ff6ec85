"""Rates that hold across all nodes, by the server's clock."""

from collections.abc import Sequence
from math import inf
from typing import Final

from broker.engines.redis.link import Link
from broker.engines.redis.places import Places
from broker.engines.redis.scripts import load_script
from broker.limits import Allowance, Claim, Rate, allowance_of

__all__ = ["RedisLimits"]

_LIMIT_ACQUIRE: Final = load_script("limit_acquire")


class RedisLimits:
    """The port Limits. A key's moment goes from the server by itself once it has passed.

    A decision is one call of one script, so the keys of a group share a hash tag. Refused, for a cluster: a call for each slot,
    and giving back what the others granted when one refuses. It spreads a group over the servers, and needs twice the calls
    wherever something is refused; meanwhile others are refused what is about to be given back, and what a process that dies
    in between has spent is gone.
    """

    def __init__(self, link: Link, places: Places) -> None:
        self._link, self._places = link, places

    async def acquire(self, key: str, rate: Rate) -> float:
        return max(0.0, await self._spend(key, rate, 1))

    async def spend(self, key: str, rate: Rate, *, cost: int = 1) -> Allowance:
        if cost > rate.burst:
            return Allowance(inf, 0, inf)
        return allowance_of(await self._spend(key, rate, cost), rate, cost)

    async def acquire_all(self, group: str, claims: Sequence[Claim]) -> Sequence[float]:
        keys = [self._places.limit_of(group, claim.key) for claim in claims]
        args = [value for claim in claims for value in (claim.rate.per_s, claim.rate.burst, 1)]
        told_us = await self._link.run(_LIMIT_ACQUIRE, keys, args)
        return [max(0.0, float(one_us) / 1e6) for one_us in told_us]

    async def _spend(self, key: str, rate: Rate, cost: int) -> float:
        """Spend from an allowance: tells the wait in seconds, or as a negative number when it will be whole again."""
        (told_us,) = await self._link.run(_LIMIT_ACQUIRE, [self._places.limit(key)], [rate.per_s, rate.burst, cost])
        return float(told_us) / 1e6
