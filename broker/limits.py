"""Port: rates that hold across all who share the engine.

Several allowances can be one decision: those of a provider, of a user and of a device, say. Whoever decides them one after the
other has to give back what the first ones granted when a later one refuses, and until then others are refused for nothing; or
counts what was never done. So `acquire_all` looks at all of them before it spends from any. The price is that the allowances
of one decision lie together: a *group* names the place, and in a cluster of servers it lies on one of them. Measured, a
server needs 14 us to decide about one allowance and 100 us about five, on a machine with much else to do: some ten thousand
decisions a second, about what a group by a provider's name is ever asked for.
"""

from collections.abc import Sequence
from typing import Protocol

import msgspec

__all__ = ["Allowance", "Claim", "Limits", "Rate", "allowance_of"]


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


class Claim(msgspec.Struct, frozen=True, gc=False):
    """One of the allowances that something is to be spent from, within a group."""

    key: str
    rate: Rate


class Limits(Protocol):
    """The generic cell rate algorithm: one stored moment per key, no queue, no background work."""

    async def acquire(self, key: str, rate: Rate) -> float:
        """Spend one from a key's allowance.

        Returns:
            0.0 when it was spent; else how many seconds to wait before it can be, and nothing was spent.
        """

    async def spend(self, key: str, rate: Rate, *, cost: int = 1) -> Allowance:
        """Spend `cost` from it, whole or not at all, and tell also what is left. A cost above the burst never can be spent, and
        is not looked up: nothing is left of it."""

    async def acquire_all(self, group: str, claims: Sequence[Claim]) -> Sequence[float]:
        """Spend one from each of several allowances, or nothing from any, as one step that nobody sees half done.

        Args:
            group: Where they lie. The same key in two groups is two allowances, and none is one of `acquire`.
            claims: One or more, of different keys.
        Returns:
            For each claim, in order, how many seconds to wait until it alone can be granted. When all are 0.0 they were spent,
            else nothing was: also those at 0.0 are still there. The longest is when it is worth asking again.
        """


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
