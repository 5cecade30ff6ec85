"""Acknowledgements as spans of the notification's own trace."""

from collections.abc import Sequence

from broker.confirmations import Mark
from broker.ledger import Notifications
from broker.notification import Accepted, Draft, NotificationStatus, State
from config.clock import Clock
from config.tracing import Tracing, current, follow

__all__ = ["TracedNotifications"]


class TracedNotifications:
    """Implements `broker.ledger.Notifications`. An ack reads its notification first, to know its trace."""

    def __init__(self, notifications: Notifications, tracing: Tracing, clock: Clock) -> None:
        self._notifications, self._tracing, self._clock = notifications, tracing, clock

    async def accept(self, draft: Draft, *, idempotency_key: str = "", fingerprint: bytes = b"") -> Sequence[Accepted]:
        return await self._notifications.accept(draft, idempotency_key=idempotency_key, fingerprint=fingerprint)

    async def acknowledge(self, notification_id: str, user: str, mark: Mark = Mark.SEEN) -> State:
        notification = (await self._notifications.status(notification_id)).notification
        if not notification.trace or notification.user != user:
            return await self._notifications.acknowledge(notification_id, user, mark)
        asking = current()
        origin = follow(notification.trace, since=notification.created_at, now=self._clock.now())
        span = self._tracing.begin(
            "ack",
            parent=origin.parent,
            links=(*origin.links, asking.traceparent) if asking is not None else origin.links,
            attributes={"heliograph.notification": notification_id, "heliograph.mark": mark.value},
        )
        try:
            state = await self._notifications.acknowledge(notification_id, user, mark)
            span.note({"heliograph.state": state.value})
            return state
        except Exception as exc:
            span.fail(type(exc).__name__)
            raise
        finally:
            span.end()

    async def cancel(self, notification_id: str) -> State:
        return await self._notifications.cancel(notification_id)

    async def status(self, notification_id: str) -> NotificationStatus:
        return await self._notifications.status(notification_id)
