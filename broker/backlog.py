"""Port: what waits in each lane, for whoever watches the pipeline."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Protocol

import msgspec

from broker.notification import Lane

__all__ = ["Backlog", "LaneBacklog"]


class LaneBacklog(msgspec.Struct, frozen=True):
    """Steps of a lane that are due and in nobody's hands, and since when the oldest is. A count of `limit` is a least."""

    lane: Lane
    waiting: int
    oldest_due_at: datetime | None


class Backlog(Protocol):
    """Reads the queue from outside."""

    async def lanes(self, *, limit: int) -> Sequence[LaneBacklog]:
        """Tell every lane's backlog, counting no further than `limit`.

        Raises:
            StoreUnavailable: The same call may succeed later.
        """

    async def undecided(self) -> Mapping[Lane, datetime]:
        """Tell of each lane in which a decision is due that nobody has taken since when the oldest is. Deliveries are left out:
        those of a carrier that is paused, slow or full hold up none of the others; and so is what a process that died has
        taken, until its lease has run out and somebody else has it.

        Raises:
            StoreUnavailable: The same call may succeed later.
        """
