"""Port: what users were disturbed by lately, where the settings limit it."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Protocol

__all__ = ["Frequency"]


class Frequency(Protocol):
    """Notifications that were told by a route that disturbs, by user and category. Written with the decisions themselves
    (`broker.ledger.PlanDone.counts`), so that a crash neither loses nor doubles one."""

    async def told(self, users: Sequence[str], category: str, *, since: datetime) -> Mapping[str, frozenset[str]]:
        """Tell the ids of a category's notifications that each of these users was told after `since`; users without any are
        left out.

        Raises:
            StoreUnavailable: The same call may succeed later.
        """
