"""Acknowledgements of single notifications as spans."""

from collections.abc import Sequence

from broker.confirmations import Mark
from broker.ledger import Notifications
from broker.notification import Accepted, Draft, NotificationStatus, State
from gateway.tracing.acks import AckSpans

__all__ = ["TracedNotifications"]


class TracedNotifications:
    """Implements `broker.ledger.Notifications`. Acks that come again or too late are written too, with the state they found."""

    def __init__(self, notifications: Notifications, spans: AckSpans) -> None:
        self._notifications, self._spans = notifications, spans

    async def accept(self, draft: Draft, *, idempotency_key: str = "", fingerprint: bytes = b"") -> Sequence[Accepted]:
        return await self._notifications.accept(draft, idempotency_key=idempotency_key, fingerprint=fingerprint)

    async def acknowledge(self, notification_id: str, user: str, mark: Mark = Mark.SEEN) -> State:
        began_at = self._spans.now()
        state = await self._notifications.acknowledge(notification_id, user, mark)
        await self._spans.write([notification_id], mark, began_at, {"heliograph.state": state.value})
        return state

    async def cancel(self, notification_id: str) -> State:
        return await self._notifications.cancel(notification_id)

    async def status(self, notification_id: str) -> NotificationStatus:
        return await self._notifications.status(notification_id)
