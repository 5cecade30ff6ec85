"""What is asked of statistics and answered. Moments of requests are Unix seconds or RFC 3339, those of answers Unix seconds."""

from typing import Annotated, Final

import msgspec
from msgspec import UNSET, Meta, UnsetType

from gateway.notify.policy_messages import Moment

__all__ = [
    "ClickedLinkItem",
    "DurationItem",
    "FailedItem",
    "NotificationClicksRequest",
    "NotificationClicksResult",
    "StatisticsGroupItem",
    "StatisticsRequest",
    "StatisticsResult",
]

_Filter = str | UnsetType
_BY: Final = "What is told apart: `category`, `priority`, `experiment`, `variant`, `route`, `provider`, `hour`, `day` (UTC)."


class StatisticsRequest(msgspec.Struct, forbid_unknown_fields=True, rename={"since": "from", "until": "to"}):
    """Asks what became of the notifications that were accepted in some hours. Providers are told apart within their routes, and
    variants within their experiments."""

    since: Annotated[Moment | UnsetType, Meta(description="From the hour of this moment on; a day ago if left out.")] = UNSET
    until: Annotated[Moment | UnsetType, Meta(description="To the end of the hour before; now if left out.")] = UNSET
    by: Annotated[list[str], Meta(description=_BY)] = []
    category: Annotated[_Filter, Meta(description="Only those of a category; empty for those of none.")] = UNSET
    priority: Annotated[_Filter, Meta(description="Only those of a priority.")] = UNSET
    experiment: Annotated[_Filter, Meta(description="Only those of an experiment; empty for those of none.")] = UNSET
    variant: Annotated[_Filter, Meta(description="Only those of a variant.")] = UNSET
    route: Annotated[_Filter, Meta(description="Only what came of them on a route.")] = UNSET
    provider: Annotated[_Filter, Meta(description="Only what came of them at a provider.")] = UNSET


class FailedItem(msgspec.Struct):
    """Deliveries that ended without success: for the sake of the user's address, of a provider, the settings or the message, or
    of a rule."""

    user: int = 0
    system: int = 0
    business: int = 0


class DurationItem(msgspec.Struct):
    """Of how many durations, and the seconds that a half, 95 % and 99 % of them did not exceed, each off by at most `error`."""

    count: int
    p50_s: float
    p95_s: float
    p99_s: float


class StatisticsGroupItem(msgspec.Struct):
    """A group, and how many of its notifications were accepted, told to anybody (`sent`), known to have arrived, and so on. By
    route or provider it holds what was tried there, and counts as seen, clicked … what had been told there before."""

    category: str | UnsetType = UNSET
    priority: str | UnsetType = UNSET
    experiment: str | UnsetType = UNSET
    variant: str | UnsetType = UNSET
    route: str | UnsetType = UNSET
    provider: str | UnsetType = UNSET
    hour: int | UnsetType = UNSET
    day: int | UnsetType = UNSET
    accepted: int = 0
    sent: int = 0
    delivered: int = 0
    opened: int = 0
    seen: int = 0
    read: int = 0
    dismissed: int = 0
    clicked: int = 0
    acknowledged: int = 0
    failed: FailedItem = msgspec.field(default_factory=FailedItem)
    outcomes: Annotated[dict[str, int], Meta(description="The failed deliveries by their outcome.")] = {}
    states: Annotated[dict[str, int], Meta(description="The notifications by where they stand.")] = {}
    time_to_sent: DurationItem | UnsetType = UNSET
    time_to_seen: DurationItem | UnsetType = UNSET
    cost: Annotated[
        float | UnsetType, Meta(description="Of the messages that providers with a price took; left out where there are none.")
    ] = UNSET


class StatisticsResult(msgspec.Struct, rename={"since": "from", "until": "to"}):
    """Groups in the order of what they are grouped by, over the hours `from` to `to`. What had happened by `counted_at` is
    counted, and mostly what came later. Without `is_complete` there was too much to count: some of the end is missing."""

    since: int
    until: int
    groups: list[StatisticsGroupItem]
    counted_at: float
    is_complete: bool
    error: Annotated[float, Meta(description="How far a duration may be off, as a share of it.")]
    currency: Annotated[str | UnsetType, Meta(description="What costs are in, where a price is set.")] = UNSET


class NotificationClicksRequest(msgspec.Struct, forbid_unknown_fields=True):
    """Asks which links of a notification were clicked."""

    id: Annotated[str, Meta(description="Id of the notification, as `notify` gave it.")]


class ClickedLinkItem(msgspec.Struct):
    """A link: its number among those of the mail (0 is the notification's own), where it leads, when it was clicked first."""

    link: int
    target: str
    time: float
    clicks: int


class NotificationClicksResult(msgspec.Struct):
    """The links that were clicked, by their numbers."""

    items: list[ClickedLinkItem]
