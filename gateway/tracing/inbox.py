"""Marks in inboxes as spans of each notification that they acknowledge."""

from collections.abc import Sequence

from broker.confirmations import Mark
from broker.inbox import Inbox, InboxCounts, InboxPage, Shelf
from gateway.tracing.acks import AckSpans

__all__ = ["TracedInbox"]


class TracedInbox:
    """Implements `broker.inbox.Inbox`."""

    def __init__(self, inbox: Inbox, spans: AckSpans) -> None:
        self._inbox, self._spans = inbox, spans

    async def page(self, user: str, shelf: Shelf, *, category: str = "", cursor: str = "", limit: int) -> InboxPage:
        return await self._inbox.page(user, shelf, category=category, cursor=cursor, limit=limit)

    async def counts(self, users: Sequence[str]) -> Sequence[InboxCounts]:
        return await self._inbox.counts(users)

    async def mark(self, user: str, ids: Sequence[str], mark: Mark) -> Sequence[str]:
        began_at = self._spans.now()
        acknowledged = await self._inbox.mark(user, ids, mark)
        await self._spans.write(acknowledged, mark, began_at)
        return acknowledged

    async def mark_all(self, user: str, mark: Mark) -> Sequence[str]:
        began_at = self._spans.now()
        acknowledged = await self._inbox.mark_all(user, mark)
        await self._spans.write(acknowledged, mark, began_at)
        return acknowledged
