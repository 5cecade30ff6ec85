"""Port: rates that hold across all who share the engine."""

from typing import Protocol

import msgspec

__all__ = ["Limits", "Rate"]


class Rate(msgspec.Struct, frozen=True, gc=False):
    """So many per second on average (more than 0), and so many at once (1 or more)."""

    per_s: float
    burst: int


class Limits(Protocol):
    """The generic cell rate algorithm: one stored moment per key, no queue, no background work."""

    async def acquire(self, key: str, rate: Rate, *, cost: int = 1) -> float:
        """Spend `cost` from a key's allowance, whole or not at all.

        Returns:
            0.0 when it was spent; else how many seconds to wait before it can be, and nothing was spent. Infinity for a
            cost above the burst: it never can be.
        """
