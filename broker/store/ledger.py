"""The ledger on SQL: each method of the port is one function of a connection, run by the database."""

import asyncio
import contextlib
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Final

from sqlalchemy import Connection

from broker.confirmations import Mark
from broker.errors import NotFound, StoreUnavailable
from broker.ledger import Ask, Passage, PlanDone, SendDone, Step
from broker.notification import Accepted, Draft, Lane, NotificationStatus, State
from broker.store import accepting, claiming, ending, idempotency, marking, recording
from broker.store.changes import Changes
from broker.store.database import Database
from broker.store.deduplicating import Stored, store_once
from broker.store.habits import Opens
from broker.store.moments import from_micros, to_micros
from broker.store.recent import RecentlyEnded
from broker.store.signals import Signals
from broker.store.status_outbox import StatusOutbox
from broker.store.texts import check_name, is_name
from config.clock import Clock

__all__ = ["SqlLedger"]

_PURGE_INTERVAL_S: Final = 60.0
# Nothing that ended so begins anew; what ended otherwise may be replayed, whoever acknowledged or cancelled it in vain.
_FOR_GOOD: Final = frozenset({State.ACKNOWLEDGED, State.CANCELLED})


class SqlLedger:
    """Implements `broker.ledger.Ledger`."""

    def __init__(
        self,
        database: Database,
        signals: Signals,
        clock: Clock,
        outbox: StatusOutbox,
        opens: Opens,
        *,
        idempotency_ttl_s: float,
    ) -> None:
        self._database, self._opens = database, opens
        self._outbox = outbox
        self._signals = signals
        self._clock = clock
        self._idempotency_ttl_us = int(idempotency_ttl_s * 1_000_000)
        self._purge_deadline = clock.monotonic()
        self._ended = RecentlyEnded()  # by somebody: for good
        self._finished = RecentlyEnded()  # by the pipeline: it may be replayed
        self._wakes: list[Callable[[], None]] = []
        self._asks: Callable[[], Ask | None] = lambda: None
        self._take: Callable[[Sequence[Step]], bool] = lambda steps: False
        self._giving_back: set[asyncio.Task[None]] = set()
        signals.hear(self._wake, self._ended.add)

    async def accept(self, draft: Draft, *, idempotency_key: str = "", fingerprint: bytes = b"") -> Sequence[Accepted]:
        for user in draft.users:
            check_name("user", user)
        check_name("idempotency_key", idempotency_key)
        new = accepting.prepare(draft, self._clock)
        key = None
        if idempotency_key:
            now = self._now()
            key = idempotency.Key(idempotency_key, fingerprint, now, now - self._idempotency_ttl_us)
            await self._purge(key.dead_before)
        is_critical = draft.lane is Lane.CRITICAL
        ask = self._asks() if is_critical else None
        lease = None if ask is None else self._lease(ask.worker, ask.lease_until)

        def store(connection: Connection) -> tuple[Stored, Sequence[Step]]:
            stored = store_once(connection, new, key, self._outbox)
            if ask is None or lease is None:
                return stored, ()
            ids = [one.id for one in stored.answer]
            return stored, claiming.claim_plans(connection, lease, ids[: ask.quota])

        def after(answer: tuple[Stored, Sequence[Step]]) -> None:
            self._stored(*answer, was_asked=ask is not None)

        try:
            stored, _ = await self._database.write(store, after, rows=len(new.answer), urgent=is_critical)
        except Exception:
            if ask is not None:
                self._take(())
            raise
        return stored.answer

    async def acknowledge(self, notification_id: str, user: str, mark: Mark = Mark.SEEN) -> State:
        if not (is_name(notification_id) and is_name(user)):
            raise NotFound("notification")
        now = self._now()
        state, _ = await self._database.write(
            lambda connection: marking.acknowledge(connection, notification_id, user, mark, now, self._outbox, self._opens),
            lambda answer: self._were_ended(notification_id, *answer),
        )
        return state

    async def cancel(self, notification_id: str) -> State:
        if not is_name(notification_id):
            raise NotFound("notification")
        now = self._now()
        state, _ = await self._database.write(
            lambda connection: ending.cancel(connection, notification_id, now, self._outbox),
            lambda answer: self._were_ended(notification_id, *answer),
        )
        return state

    async def status(self, notification_id: str) -> NotificationStatus:
        if not is_name(notification_id):
            raise NotFound("notification")
        return await self._database.read(lambda connection: ending.read_status(connection, notification_id))

    async def claim(
        self,
        worker: str,
        quotas: Mapping[Lane, int],
        *,
        lease_until: datetime,
        paused: frozenset[str] = frozenset(),
    ) -> Sequence[Step]:
        lease = self._lease(worker, lease_until)
        return await self._database.write(
            lambda connection: claiming.claim(connection, lease, quotas, paused), self._claimed, rows=sum(quotas.values())
        )

    async def renew(self, steps: Sequence[Step], *, lease_until: datetime) -> None:
        until = to_micros(lease_until)
        await self._database.write(lambda connection: recording.hold_longer(connection, steps, until))

    async def record(self, plans: Sequence[PlanDone], sends: Sequence[SendDone], passages: Sequence[Passage] = ()) -> None:
        if plans or sends or passages:
            told = recording.Told(self._outbox, self._now())
            work: Callable[[Connection], Changes] = partial(
                recording.record, plans=plans, sends=sends, passages=passages, told=told
            )
            rows = len(plans) + len(sends) + len(passages)
            await self._database.write(work, self._recorded, rows=rows)

    async def release(self, worker: str) -> None:
        now = self._now()
        await self._database.write(lambda connection: recording.release(connection, worker, now), self._released)

    async def next_due(self, *, paused: frozenset[str] = frozenset(), lanes: Collection[Lane] = tuple(Lane)) -> datetime | None:
        due = await self._database.read(lambda connection: recording.earliest_due(connection, paused, lanes))
        return None if due is None else from_micros(due)

    def on_work(self, wake: Callable[[], None]) -> None:
        self._wakes.append(wake)

    def on_critical(self, asks: Callable[[], Ask | None], take: Callable[[Sequence[Step]], bool]) -> None:
        self._asks, self._take = asks, take

    def is_ended(self, notification_id: str) -> bool:
        return notification_id in self._ended or notification_id in self._finished

    def made_due(self) -> None:
        """Something is due now: wake whoever does it here, and elsewhere."""
        self._wake()
        self._signals.tell_work()

    def was_ended(self, notification_id: str) -> None:
        """Somebody else than the pipeline ended it, so that a send may be waiting, here or elsewhere."""
        self._ended.add(notification_id)
        self._signals.tell_ended(notification_id)

    def _were_ended(self, notification_id: str, state: State, beside: Sequence[str]) -> None:
        for one in (notification_id, *beside) if state in _FOR_GOOD else beside:
            self.was_ended(one)

    def _now(self) -> int:
        return to_micros(self._clock.now())

    def _wake(self) -> None:
        for wake in self._wakes:
            wake()

    def _lease(self, worker: str, until: datetime) -> claiming.Lease:
        return claiming.Lease(str(self._clock.new_id()), worker, self._now(), to_micros(until))

    def _stored(self, stored: Stored, steps: Sequence[Step], *, was_asked: bool) -> None:
        for notification_id in stored.ended:
            self.was_ended(notification_id)
        if was_asked:
            self._claimed(steps)
            if not self._take(steps) and steps:
                task = asyncio.get_running_loop().create_task(self._give_back(steps), name="ledger:give back")
                self._giving_back.add(task)
                task.add_done_callback(self._giving_back.discard)
        begun = {step.notification.id for step in steps}
        if not all(one.id in begun for one in stored.answer):
            self.made_due()

    async def _give_back(self, plans: Sequence[Step]) -> None:
        """Whoever asked is ending. A store that ends too keeps the leases until they run out."""
        now = self._now()
        with contextlib.suppress(StoreUnavailable):
            await self._database.write(lambda connection: recording.give_back(connection, plans, now), urgent=True)
            self.made_due()

    def _claimed(self, steps: Sequence[Step]) -> None:
        if self._finished:  # what is claimed lives: it was replayed
            for step in steps:
                self._finished.discard(step.notification.id)

    def _recorded(self, changes: Changes) -> None:
        for notification_id in changes.ended:
            self._finished.add(notification_id)
        if changes.makes_due(self._now()):
            self.made_due()

    def _released(self, any_given_back: bool) -> None:
        if any_given_back:
            self.made_due()

    async def _purge(self, dead_before: int) -> None:
        """Remove dead keys now and then; as long as there are many, with every request that brings a key."""
        if self._clock.monotonic() < self._purge_deadline:
            return
        self._purge_deadline = self._clock.monotonic() + _PURGE_INTERVAL_S

        def purged(count: int) -> None:
            if count >= idempotency.PURGE_SIZE:
                self._purge_deadline = self._clock.monotonic()

        await self._database.write(lambda connection: idempotency.purge(connection, dead_before), purged)
