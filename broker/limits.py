"""Port: rates that hold across all who share the engine."""

from typing import Protocol

import msgspec

__all__ = ["Allowance", "Limits", "Rate", "allowance_of"]


class Rate(msgspec.Struct, frozen=True, gc=False):
    """So many per second on average (more than 0), and so many at once (1 or more)."""

    per_s: float
    burst: int


class Allowance(msgspec.Struct, frozen=True, gc=False):
    """What came of spending, and what is left.

    Attributes:
        wait_s: 0.0 when it was spent; else how many seconds to wait before it can be. Infinity where it never can.
        remaining: How much can be spent right now.
        whole_in_s: In how many seconds the whole burst can be spent again, if nothing is spent until then.
    """

    wait_s: float
    remaining: int
    whole_in_s: float


class Limits(Protocol):
    """The generic cell rate algorithm: one stored moment per key, no queue, no background work."""

    async def acquire(self, key: str, rate: Rate, *, cost: int = 1) -> float:
        """Spend `cost` from a key's allowance, whole or not at all.

        Returns:
            0.0 when it was spent; else how many seconds to wait before it can be, and nothing was spent. Infinity for a
            cost above the burst: it never can be.
        """

    async def spend(self, key: str, rate: Rate, *, cost: int = 1) -> Allowance:
        """Do the same, and tell also what is left. A cost above the burst is not looked up: nothing is left of it."""


def allowance_of(told_s: float, rate: Rate, cost: int) -> Allowance:
    """Tell what is left, from what engines reckon with.

    Args:
        told_s: The wait in seconds where `cost` was refused; else, negative, when the burst will be whole again.
    """
    if told_s > 0:
        # Had it been spent, the burst would be whole `told_s` later than the algorithm allows: what stands is that, unspent.
        whole_in_s = max(0.0, told_s + (rate.burst - cost) / rate.per_s)
    else:
        told_s, whole_in_s = 0.0, -told_s
    # A millionth more: sums of floats must not hide what is there.
    return Allowance(told_s, max(0, int(rate.burst - whole_in_s * rate.per_s + 1e-6)), whole_in_s)
