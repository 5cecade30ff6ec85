"""Port: campaigns, which tell an audience of any size what a request to notify says; and the life of one.

A campaign is a row with a place in its audience. Users are walked in the order of their ids, a page at a time: one transaction
reads the page's users, stores their notifications through the code that `notify` goes through, counts them, and moves the place
behind the last one. So whoever is killed at any moment has told nobody twice and passed nobody over, and nothing has to be held
in memory between two pages. The transaction holds the row, which is all the lease that a page needs: no two processes are in
one campaign at once, and a dead one holds nothing.

A campaign that is called off is walked a second time, along the drafts that its pages left, and what is still pending of them
is called off piece by piece.
"""

import math
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, Protocol

import msgspec

from broker.notification import MAX_USERS, Draft, Lane

__all__ = [
    "MAX_RATE_PER_S",
    "MAX_TOPICS",
    "NEXT",
    "Audience",
    "Campaign",
    "CampaignEvent",
    "CampaignState",
    "Campaigns",
    "Due",
    "Expansion",
    "NewCampaign",
    "due_at_rate",
    "following",
    "next_page_at",
    "page_size",
]

MAX_TOPICS: Final = 10
MAX_RATE_PER_S: Final = 100_000.0


class CampaignState(StrEnum):
    """Where a campaign stands."""

    SCHEDULED = "scheduled"  # its time has not come, or nobody has taken it up yet
    RUNNING = "running"  # users are being told, page by page
    PAUSED = "paused"
    DONE = "done"  # every user of the audience has a notification; these go their ways
    CANCELLED = "cancelled"  # nobody more is told, and what was pending is called off


class CampaignEvent(StrEnum):
    """What happens to one."""

    BEGIN = "begin"
    PAUSE = "pause"
    RESUME = "resume"  # of one that had begun
    RESCHEDULE = "reschedule"  # resumed before it had begun
    FINISH = "finish"
    CANCEL = "cancel"


# The whole life of a campaign; whatever is not listed changes nothing.
NEXT: Final[Mapping[tuple[CampaignState, CampaignEvent], CampaignState]] = {
    (CampaignState.SCHEDULED, CampaignEvent.BEGIN): CampaignState.RUNNING,
    (CampaignState.SCHEDULED, CampaignEvent.PAUSE): CampaignState.PAUSED,
    (CampaignState.RUNNING, CampaignEvent.PAUSE): CampaignState.PAUSED,
    (CampaignState.PAUSED, CampaignEvent.RESUME): CampaignState.RUNNING,
    (CampaignState.PAUSED, CampaignEvent.RESCHEDULE): CampaignState.SCHEDULED,
    (CampaignState.RUNNING, CampaignEvent.FINISH): CampaignState.DONE,
    **{(state, CampaignEvent.CANCEL): CampaignState.CANCELLED for state in CampaignState},
}


def following(state: CampaignState, event: CampaignEvent) -> CampaignState:
    """Tell where an event leads; to the same state where it has no place."""
    return NEXT.get((state, event), state)


class Audience(msgspec.Struct, frozen=True, omit_defaults=True):
    """Whom a campaign tells: the subscribers of topics, each user once; without topics every user who has a device, mailboxes
    and numbers among them."""

    topics: tuple[str, ...] = ()


class NewCampaign(msgspec.Struct, frozen=True):
    """A valid request for a campaign; the draft names no users, and its `send_at` is when the campaign begins.

    `rate_per_s` is users per second, 0 as fast as the pipeline takes them.
    """

    audience: Audience
    draft: Draft
    rate_per_s: float = 0.0
    name: str = ""


class Campaign(msgspec.Struct, frozen=True):
    """A campaign and how far it has come.

    Attributes:
        size: The audience's as it was counted at the beginning, at most a million; None before.
        expanded: Users for whom a notification was stored.
        skipped: Subscribers that could not be told: their devices are gone, or no route of the request leads to a device.
        states: How many of the notifications stand in which state, counted some time ago: by the states of notifications,
            and `removed` for what was erased.
    """

    id: str
    name: str
    state: CampaignState
    audience: Audience
    category: str
    lane: Lane
    rate_per_s: float
    created_at: datetime
    starts_at: datetime
    begun_at: datetime | None
    finished_at: datetime | None
    size: int | None
    expanded: int
    skipped: int
    states: Mapping[str, int]


class Due(msgspec.Struct, frozen=True):
    """The next campaign of a lane, due or not."""

    id: str
    lane: Lane
    state: CampaignState
    due_at: datetime
    rate_per_s: float


class Expansion(msgspec.Struct, frozen=True):
    """What a page came to; `is_last` where nobody is left. `arrived` are the users in whose inbox there is something new."""

    expanded: int
    skipped: int
    is_last: bool
    arrived: tuple[str, ...] = ()


class Campaigns(Protocol):
    """Campaigns as durable rows. Every method is one transaction, or several that each leave everything whole.

    All raise `StoreUnavailable` when the store does not answer; then whether anything was changed is unknown. Those that take
    an id of a caller raise `NotFound` where there is no such campaign.
    """

    async def create(self, new: NewCampaign, *, idempotency_key: str = "", fingerprint: bytes = b"") -> str:
        """Store a campaign, due at its time; gives its id.

        Args:
            idempotency_key, fingerprint: As `broker.ledger.Ledger.accept`; the keys are the same.
        Raises:
            BadInput: Naming `topic` or `topics[i]` that does not exist, `send_at`, or `idempotency_key`.
        """

    async def status(self, campaign_id: str) -> Campaign:
        """Read a campaign."""

    async def find(self, *, state: CampaignState | None = None, before: str = "", limit: int) -> Sequence[Campaign]:
        """List campaigns, the newest first, at most `limit`, beginning behind the id `before`."""

    async def pause(self, campaign_id: str) -> CampaignState:
        """Tell nobody more for now; what was stored goes its ways. Gives the state after."""

    async def resume(self, campaign_id: str) -> CampaignState:
        """Go on where it was paused. Gives the state after."""

    async def cancel(self, campaign_id: str) -> CampaignState:
        """Tell nobody more, and have what is pending called off, a piece at a time after this. Gives the state after; one of
        which nothing is pending any more stays as it is."""

    async def set_rate(self, campaign_id: str, rate_per_s: float) -> Campaign:
        """Tell users faster or slower from the next page on, 0 as fast as the pipeline takes them; gives the campaign after.
        One that has ended stays as it is."""

    async def due(self) -> Sequence[Due]:
        """Tell the next campaign of each lane, the longest due first, at most one per lane."""

    async def cancelled(self) -> str:
        """Tell a campaign that is still being called off, or an empty text."""

    async def waiting(self, lane: Lane, carriers: Collection[str], *, limit: int) -> int:
        """Count what waits in a lane, up to `limit`: decisions that are due, and deliveries of some carriers, also those that
        a rate has put off. What waits for other carriers is passed over at no cost."""

    async def begin(self, campaign_id: str) -> bool:
        """Count the audience and let a campaign run whose time has come; False where somebody else was first."""

    async def expand(self, campaign_id: str, *, limit: int) -> Expansion | None:
        """Store the notifications of a page of at most `limit` users, if the campaign is running and due; None where it is
        not, or somebody else has it."""

    async def call_off(self, campaign_id: str) -> bool:
        """Call off a piece of what is pending of a cancelled campaign; False where nothing is left, or somebody else has it."""

    async def tally(self, *, limit: int, within_s: float) -> int:
        """Count the states of at most `limit` pages anew whose turn it is; tells how many they were.

        Args:
            within_s: Pages that are older than that are counted for the last time.
        """

    async def sweep(self, *, before: datetime, limit: int) -> int:
        """Remove campaigns that ended before a moment, at most `limit` rows; tells how many rows went."""


def page_size(rate_per_s: float) -> int:
    """Tell how many users make a page (N-9): about a second's worth, or the most there may be."""
    return min(MAX_USERS, max(1, math.ceil(rate_per_s))) if rate_per_s else MAX_USERS


def due_at_rate(due_at: datetime, now: datetime, before_per_s: float, after_per_s: float) -> datetime:
    """Tell when a page is due whose campaign gets another rate: what is left to wait is as much shorter as the rate is higher,
    so that a slow campaign need not end its wait first."""
    if due_at <= now or not before_per_s:
        return due_at
    return now + (due_at - now) * (before_per_s / after_per_s) if after_per_s else now


def next_page_at(due_at: datetime, now: datetime, taken: int, rate_per_s: float) -> datetime:
    """Tell when the next page is due, after one of `taken` users that was due at `due_at` and done `now`.

    The rate is kept as by GCRA: due times lie as far apart as the rate asks, and whoever is late catches up one page, no more.
    """
    if not rate_per_s:
        return now
    worth = timedelta(seconds=taken / rate_per_s)
    return max(due_at, now - worth) + worth
