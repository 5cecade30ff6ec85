"""The events on their way out, on SQL."""

from collections.abc import Sequence
from datetime import datetime
from functools import partial
from typing import Any, Final

from sqlalchemy import Connection, bindparam, delete, exists, select, update

from broker.status_events import PendingEvent
from broker.store.database import Database
from broker.store.dialect import lock
from broker.store.moments import from_micros, to_micros
from broker.store.operation_tables import STATUS_EVENTS
from config.clock import Clock

__all__ = ["SqlStatusEvents"]

_E: Final = STATUS_EVENTS.c
_BEFORE: Final = STATUS_EVENTS.alias("before")
# Only the first that is left of a notification; one that was given up (no `due_at`) holds nobody back.
_DUE: Final = (
    select(STATUS_EVENTS)
    .where(
        _E.due_at <= bindparam("now"),
        ~exists(
            select(_BEFORE.c.number).where(
                _BEFORE.c.notification_id == _E.notification_id,
                _BEFORE.c.number < _E.number,
                _BEFORE.c.due_at.is_not(None),
            )
        ),
    )
    .order_by(_E.due_at, _E.number)
    .limit(bindparam("most"))
)
_LEASE: Final = (
    update(STATUS_EVENTS)
    .where(_E.number == bindparam("of_event"))
    .values(due_at=bindparam("until"), lease=bindparam("new_lease"), attempt=_E.attempt + 1)
)
_HELD: Final = (_E.number == bindparam("of_event"), _E.lease == bindparam("of_lease"))
_REMOVE: Final = delete(STATUS_EVENTS).where(*_HELD)
_STALE: Final = select(_E.number).where(_E.due_at < bindparam("stale_before")).order_by(_E.due_at).limit(bindparam("most"))
_GIVE_UP: Final = (
    update(STATUS_EVENTS)
    .where(_E.number.in_(_STALE.with_for_update(skip_locked=True).scalar_subquery()))
    .values(due_at=None, lease=None)
)
_PUT_BACK: Final = update(STATUS_EVENTS).where(*_HELD).values(due_at=bindparam("new_due_at"), lease=None)


class SqlStatusEvents:
    """Implements `broker.status_events.StatusEvents`."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database, self._clock = database, clock

    async def claim(self, *, limit: int, lease_until: datetime) -> Sequence[PendingEvent]:
        asked = {"now": to_micros(self._clock.now()), "most": limit}
        # Looked at first: an idle webhook costs no write.
        if not await self._database.read(lambda connection: connection.execute(_DUE, {**asked, "most": 1}).first()):
            return ()
        lease = str(self._clock.new_id())
        return await self._database.write(partial(_claim, asked=asked, lease=lease, until=to_micros(lease_until)))

    async def settle(
        self,
        *,
        delivered: Sequence[PendingEvent] = (),
        retried: Sequence[tuple[PendingEvent, datetime]] = (),
        given_up: Sequence[PendingEvent] = (),
    ) -> None:
        moved = [{**_held(event), "new_due_at": to_micros(due_at)} for event, due_at in retried]
        moved += [{**_held(event), "new_due_at": None} for event in given_up]
        gone = [_held(event) for event in delivered]

        def work(connection: Connection) -> None:
            if gone:
                connection.execute(_REMOVE, gone)
            if moved:
                connection.execute(_PUT_BACK, moved)

        if gone or moved:
            await self._database.write(work)

    async def give_up(self, *, due_before: datetime, limit: int) -> int:
        asked = {"stale_before": to_micros(due_before), "most": limit}
        if not await self._database.read(lambda connection: connection.execute(_STALE, {**asked, "most": 1}).first()):
            return 0
        return await self._database.write(lambda connection: connection.execute(_GIVE_UP, asked).rowcount)


def _claim(connection: Connection, asked: dict[str, Any], lease: str, until: int) -> list[PendingEvent]:
    # One claim at a time: two would each see the other's as still to be taken, and their later ones as held by nobody.
    lock(connection, "status_events")
    rows = connection.execute(_DUE, asked).all()
    if rows:
        connection.execute(_LEASE, [{"of_event": row.number, "until": until, "new_lease": lease} for row in rows])
    return [PendingEvent(row.number, lease, row.attempt + 1, from_micros(row.created_at), row.body) for row in rows]


def _held(event: PendingEvent) -> dict[str, Any]:
    return {"of_event": event.number, "of_lease": event.lease}
