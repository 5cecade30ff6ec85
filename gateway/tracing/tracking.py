"""Links and pixels in mails as spans of the notification that they acknowledge."""

from collections.abc import Sequence
from datetime import datetime

from broker.confirmations import Mark
from broker.tracking import ClickedLink, Tracked, Tracking
from gateway.tracing.acks import AckSpans

__all__ = ["TracedTracking"]


class TracedTracking:
    """Implements `broker.tracking.Tracking`."""

    def __init__(self, tracking: Tracking, spans: AckSpans) -> None:
        self._tracking, self._spans = tracking, spans

    async def clicked(self, notification_id: str, link: int, target: str) -> Tracked:
        began_at = self._spans.now()
        return await self._told(await self._tracking.clicked(notification_id, link, target), Mark.CLICKED, began_at)

    async def opened(self, notification_id: str, *, is_seen: bool) -> Tracked:
        began_at = self._spans.now()
        return await self._told(await self._tracking.opened(notification_id, is_seen=is_seen), Mark.OPENED, began_at)

    async def mailed_at(self, notification_id: str) -> datetime | None:
        return await self._tracking.mailed_at(notification_id)

    async def clicks_of(self, notification_id: str) -> Sequence[ClickedLink]:
        return await self._tracking.clicks_of(notification_id)

    async def _told(self, tracked: Tracked, mark: Mark, began_at: datetime) -> Tracked:
        await self._spans.write(tracked.acknowledged, mark, began_at)
        return tracked
