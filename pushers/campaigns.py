"""The duties of campaigns: pages of users are told as the rate asks and the pipeline has room, what was cancelled is called
off, and what became of it is counted.

No page waits in here. What is due is found in the store each time, so that any process may tell the next page, and several
share campaigns without knowing of each other. Campaigns of one lane take turns, since whoever has told a page is due behind the
others.
"""

from collections.abc import Callable, Collection
from datetime import timedelta
from typing import Final

import msgspec

from broker.campaigns import Campaigns, CampaignState, Due, page_size
from broker.inbox_news import InboxChanged, nobody_asks
from broker.notification import Lane
from broker.topics import Topics
from config.audience_settings import CampaignSettings
from config.clock import Clock
from config.logs import get_logger
from pushers.duties import Duty

__all__ = ["CampaignDuties"]

_log = get_logger()

_LOOK_S: Final = 1.0
# How soon a queue that was full is looked at again, and how long a look counts.
_FULL_S: Final = 0.25
_FRESH_S: Final = 1.0
_TALLIED: Final = 4
_SWEPT: Final = 500
_SWEEP_PAUSE_S: Final = 0.2
_SWEEP_ROUND_S: Final = 30.0
# Who looks at a notification later than this is counted for it, but not for its campaign.
_COUNTED_FOR_S: Final = 7 * 86400.0


class _Room(msgspec.Struct):
    """How many users more a lane takes, as was counted at a moment of the monotonic clock."""

    users: int
    counted_at: float


class CampaignDuties:
    """Makes the duties of one process.

    Args:
        carriers: Tells for which carriers' deliveries a campaign waits. Those of a carrier that is paused or failing wait
            in the store, and hold up no campaign to others.
        retention_s: How long notifications are kept, 0 for ever: they are not counted beyond.
        count: Told how many users were `expanded` or `skipped`.
        inbox_changed: Told of the users in whose inbox there is something new.
    """

    def __init__(
        self,
        campaigns: Campaigns,
        topics: Topics,
        settings: CampaignSettings,
        clock: Clock,
        *,
        carriers: Callable[[], Collection[str]],
        retention_s: float = 0.0,
        count: Callable[[str, int], None] = lambda _result, _users: None,
        inbox_changed: InboxChanged = nobody_asks,
    ) -> None:
        self._campaigns, self._topics, self._settings, self._clock, self._count = campaigns, topics, settings, clock, count
        self._counted_for_s = min(_COUNTED_FOR_S, retention_s / 2 or _COUNTED_FOR_S)
        self._carriers, self._inbox_changed = carriers, inbox_changed
        self._rooms: dict[Lane, _Room] = {}

    def duties(self) -> list[Duty]:
        """Make them: telling, counting, clearing away."""
        return [
            Duty("campaigns", self.advance),
            Duty("campaign_counts", self.tally),
            Duty("campaign_retention", self.sweep),
        ]

    async def advance(self) -> float:
        """Call off a piece of what was cancelled, and tell the page that is due the longest; tells in how many seconds to look
        again."""
        cancelled = await self._campaigns.cancelled()
        goes_on = bool(cancelled) and await self._campaigns.call_off(cancelled)
        pause_s = await self._advance_one()
        return 0.0 if goes_on else pause_s

    async def _advance_one(self) -> float:
        now = self._clock.now()
        pause_s = _LOOK_S
        for due in await self._campaigns.due():
            wait_s = (due.due_at - now).total_seconds()
            if wait_s > 0:
                pause_s = min(pause_s, wait_s)
            elif due.state is CampaignState.SCHEDULED:
                if await self._campaigns.begin(due.id):
                    _log.info("campaign.began", campaign=due.id)
                    return 0.0
            elif (room := await self._room(due.lane)).users <= 0:
                pause_s = min(pause_s, _FULL_S)
            elif await self._tell(due, room):
                return 0.0
        return pause_s

    async def tally(self) -> float:
        """Count some pages whose turn it is."""
        counted = await self._campaigns.tally(limit=_TALLIED, within_s=self._counted_for_s)
        return 0.0 if counted == _TALLIED else _LOOK_S

    async def sweep(self) -> float:
        """Clear some of what is over away: campaigns of long ago, and subscriptions of topics that were removed."""
        before = self._clock.now() - timedelta(seconds=self._settings.retention)
        gone = await self._campaigns.sweep(before=before, limit=_SWEPT)
        gone += await self._topics.sweep(limit=_SWEPT)
        return _SWEEP_PAUSE_S if gone else _SWEEP_ROUND_S

    async def _tell(self, due: Due, room: _Room) -> bool:
        expansion = await self._campaigns.expand(due.id, limit=min(page_size(due.rate_per_s), room.users))
        if expansion is None:
            return False
        room.users -= expansion.expanded
        self._count("expanded", expansion.expanded)
        self._count("skipped", expansion.skipped)
        if expansion.arrived:
            self._inbox_changed(expansion.arrived)
        if expansion.is_last:
            _log.info("campaign.done", campaign=due.id)
        return True

    async def _room(self, lane: Lane) -> _Room:
        """Tell how much a lane takes; counted anew where that is used up or old, but not all the time."""
        now = self._clock.monotonic()
        room = self._rooms.get(lane)
        if room is None or now - room.counted_at >= (_FRESH_S if room.users > 0 else _FULL_S):
            waiting = await self._campaigns.waiting(lane, self._carriers(), limit=self._settings.backlog)
            room = self._rooms[lane] = _Room(self._settings.backlog - waiting, now)
        return room
