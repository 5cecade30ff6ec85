"""Port: what became of notifications, counted by category, route, provider, variant, lane and time.

Notifications count in the hour in which they were accepted, whenever they were told or seen: so the numbers of a group are
about the same people, and a share of them is one. Hours that are over are counted into rows of their own by a duty, and counted
again while late marks come, more and more seldom, the last time right before their notifications are removed; what is asked for
and not counted yet is counted when it is asked for. The counted hours name nobody, and stay when notifications go by age. An
hour that is counted again after somebody was erased no longer holds them.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Final, Protocol

import msgspec

from broker.tallies import Tally

__all__ = ["MAX_GROUPS", "Dimension", "Group", "Statistics", "StatisticsAnswer", "StatisticsQuery"]

MAX_GROUPS: Final = 10_000


class Dimension(StrEnum):
    """What can be grouped and filtered by; the last two are moments, and no filters."""

    CATEGORY = "category"
    PRIORITY = "priority"
    EXPERIMENT = "experiment"
    VARIANT = "variant"
    ROUTE = "route"
    PROVIDER = "provider"
    HOUR = "hour"
    DAY = "day"


class StatisticsQuery(msgspec.Struct, frozen=True):
    """Asks about whole hours from `since` up to `until`.

    Attributes:
        by: Providers are only told apart within their routes: with `PROVIDER` goes `ROUTE`.
        filters: What must be so, by dimension; a priority by its name.
    """

    since: datetime
    until: datetime
    by: tuple[Dimension, ...] = ()
    filters: Mapping[Dimension, str] = {}


class Group(msgspec.Struct, frozen=True):
    """The values of the dimensions, in the order of `by` (moments as Unix seconds), and the numbers."""

    key: tuple[str | int, ...]
    tally: Tally


class StatisticsAnswer(msgspec.Struct, frozen=True):
    """Groups in the order of their keys.

    Attributes:
        counted_at: Everything that had happened by then is in it; what came later may be missing, of older hours only.
        is_complete: False where so many notifications were not counted yet that the youngest were left out.
    """

    groups: Sequence[Group]
    counted_at: datetime
    is_complete: bool


class Statistics(Protocol):
    """Numbers. All methods raise `StoreUnavailable` when the store does not answer; the same call may succeed later."""

    async def read(self, query: StatisticsQuery) -> StatisticsAnswer:
        """Add up what was counted, and count what was not.

        Raises:
            BadInput: Naming `by`: it makes more than `MAX_GROUPS` groups.
        """

    async def count_next(self, *, rows_kept_s: float, kept_s: float) -> bool:
        """Count one hour anew that is due, and write that down; several processes may do so at the same time.

        Args:
            rows_kept_s: How long notifications are kept, 0 for ever: what may be removed already is not counted again.
            kept_s: How long counted hours are kept, 0 for ever.
        Returns:
            Whether there was one.
        """

    async def forget(self, *, before: datetime) -> bool:
        """Remove counted hours of before a moment, a bounded number; tells whether there were any."""

    async def uncounted_since(self) -> datetime:
        """Tell from when on notifications have not been counted at all: what is older may be removed."""
