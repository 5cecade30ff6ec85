"""How fast each provider may be called, across all who share the engine.

A send that comes too early is not held here but put off to a moment of its own. Those of one lane get moments one after
another, as far apart as the rate allows, so that a backlog becomes a schedule instead of coming back as a crowd each time
that a single call is possible. Lanes do not share that queue: a critical send takes the next call there is.
"""

from collections.abc import Mapping

from broker.limits import Limits, Rate
from broker.notification import Lane
from config.clock import Clock
from config.settings import ProviderLimits

__all__ = ["Rates"]


class Rates:
    """The rates of all providers; one without a rate is never asked about."""

    def __init__(self, limits: Limits, provider_limits: Mapping[str, ProviderLimits], clock: Clock) -> None:
        self._limits = limits
        self._clock = clock
        self._rates = {
            name: Rate(limit.rate_per_s, limit.burst) for name, limit in provider_limits.items() if limit.rate_per_s > 0
        }
        # The first moment that nobody was sent away to yet, a monotonic reading.
        self._free_at: dict[tuple[str, Lane], float] = {}

    def is_limited(self, provider: str) -> bool:
        """Whether the provider has a rate at all."""
        return provider in self._rates

    async def spend(self, provider: str, lane: Lane) -> float:
        """Spend one call.

        Returns:
            0.0 when it may be made now; else in how many seconds to ask again, and nothing was spent.
        Raises:
            EngineUnavailable: The rate is not known now.
        """
        rate = self._rates.get(provider)
        if rate is None:
            return 0.0
        wait_s = await self._limits.acquire(f"provider:{provider}", rate)
        if wait_s <= 0:
            return 0.0
        now = self._clock.monotonic()
        at = max(now + wait_s, self._free_at.get((provider, lane), 0.0))
        self._free_at[provider, lane] = at + 1 / rate.per_s
        return at - now
