"""Acknowledgements as spans of the notification's own trace."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from broker.confirmations import Mark
from broker.ledger import Ledger, Passage, PlanDone, SendDone, Step
from broker.notification import Accepted, Draft, Lane, NotificationStatus, State
from config.clock import Clock
from config.tracing import Kind, Tracing, current, follow

__all__ = ["TracedLedger"]


class TracedLedger:
    """Implements `broker.ledger.Ledger`. An ack reads its notification first, to know its trace."""

    def __init__(self, ledger: Ledger, tracing: Tracing, clock: Clock) -> None:
        self._ledger, self._tracing, self._clock = ledger, tracing, clock

    async def accept(self, draft: Draft, *, idempotency_key: str = "", fingerprint: bytes = b"") -> Sequence[Accepted]:
        return await self._ledger.accept(draft, idempotency_key=idempotency_key, fingerprint=fingerprint)

    async def acknowledge(self, notification_id: str, user: str, mark: Mark = Mark.SEEN) -> State:
        notification = (await self._ledger.status(notification_id)).notification
        if not notification.trace:
            return await self._ledger.acknowledge(notification_id, user, mark)
        asking = current()
        origin = follow(notification.trace, since=notification.created_at, now=self._clock.now())
        span = self._tracing.begin(
            "notification ack",
            Kind.INTERNAL,
            parent=origin.parent,
            links=(*origin.links, asking.traceparent) if asking else origin.links,
            attributes={"heliograph.notification": notification_id, "heliograph.mark": mark.value},
        )
        try:
            state = await self._ledger.acknowledge(notification_id, user, mark)
            span.note({"heliograph.state": state.value})
            return state
        except Exception as exc:
            span.fail(type(exc).__name__)
            raise
        finally:
            span.end()

    async def cancel(self, notification_id: str) -> State:
        return await self._ledger.cancel(notification_id)

    async def status(self, notification_id: str) -> NotificationStatus:
        return await self._ledger.status(notification_id)

    async def claim(
        self, worker: str, quotas: Mapping[Lane, int], *, lease_until: datetime, paused: frozenset[str] = frozenset()
    ) -> Sequence[Step]:
        return await self._ledger.claim(worker, quotas, lease_until=lease_until, paused=paused)

    async def renew(self, steps: Sequence[Step], *, lease_until: datetime) -> None:
        await self._ledger.renew(steps, lease_until=lease_until)

    async def record(self, plans: Sequence[PlanDone], sends: Sequence[SendDone], passages: Sequence[Passage] = ()) -> None:
        await self._ledger.record(plans, sends, passages)

    async def release(self, worker: str) -> None:
        await self._ledger.release(worker)

    async def next_due(self, *, paused: frozenset[str] = frozenset()) -> datetime | None:
        return await self._ledger.next_due(paused=paused)

    def on_work(self, wake: Callable[[], None]) -> None:
        self._ledger.on_work(wake)

    def is_ended(self, notification_id: str) -> bool:
        return self._ledger.is_ended(notification_id)
