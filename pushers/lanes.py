"""How many steps of each lane one claim may take.

Critical steps have the whole batch to themselves, before everyone. The others divide a batch of the same size by weight, so
that bulk moves however much the others bring. A lane that came back short in the last claim had no more to give: its share
goes to those that came back full, and it keeps its own for what has arrived since. A claim thus takes at most twice a batch
beside the critical ones, and only where a lane wakes up in that moment.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from broker.ledger import Step
from broker.notification import Lane

__all__ = ["WEIGHTS", "hungry_lanes", "quotas"]

WEIGHTS: Final[Mapping[Lane, int]] = {Lane.HIGH: 8, Lane.NORMAL: 4, Lane.BULK: 1}
_WHOLE: Final = sum(WEIGHTS.values())


def quotas(batch: int, hungry: frozenset[Lane]) -> Mapping[Lane, int]:
    """Divide a claim among the lanes.

    Args:
        batch: How many steps a claim is meant to take; 1 or more.
        hungry: The lanes that came back full from the last claim.
    """
    shares = {lane: max(1, batch * weight // _WHOLE) for lane, weight in WEIGHTS.items()}
    takers = [lane for lane in WEIGHTS if lane in hungry]
    if takers:
        spare = batch - sum(shares[lane] for lane in takers)
        whole = sum(WEIGHTS[lane] for lane in takers)
        for lane in takers:
            # Rounded up: what is left of a division shall not lie idle.
            shares[lane] += max(0, -(-spare * WEIGHTS[lane] // whole))
    return {Lane.CRITICAL: batch, **shares}


def hungry_lanes(steps: Sequence[Step], quotas: Mapping[Lane, int]) -> frozenset[Lane]:
    """Tell which lanes gave all that they were asked for, and so may have more."""
    counts = dict.fromkeys(quotas, 0)
    for step in steps:
        counts[step.notification.lane] += 1
    return frozenset(lane for lane, quota in quotas.items() if counts[lane] >= quota)
