"""What links and pixels tell, on SQL: marks of the notification's user, and which links they were."""

from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from typing import Any, Final

from sqlalchemy import Connection, bindparam, func, select

from broker.confirmations import Mark
from broker.errors import NotFound
from broker.notification import Outcome
from broker.routing import Route
from broker.store import marking
from broker.store.clicked_links_table import CLICKED_LINKS
from broker.store.database import Database
from broker.store.dialect import upsert
from broker.store.habits import Opens
from broker.store.moments import from_micros, to_micros
from broker.store.schema import ENTRIES, NOTIFICATIONS
from broker.store.status_outbox import StatusOutbox
from broker.store.texts import is_name
from broker.tracking import ClickedLink, Tracked
from config.clock import Clock

__all__ = ["SqlTracking"]

_E: Final = ENTRIES.c
_L: Final = CLICKED_LINKS.c
_ID: Final = bindparam("of_notification", type_=NOTIFICATIONS.c.id.type)
_USER: Final = select(NOTIFICATIONS.c.user).where(NOTIFICATIONS.c.id == _ID)
_MAILED: Final = select(func.min(_E.at)).where(
    _E.notification_id == _ID, _E.route == Route.EMAIL.value, _E.outcome == Outcome.ACCEPTED.value
)
_LINKS: Final = select(CLICKED_LINKS).where(_L.notification_id == _ID).order_by(_L.link)

# What is told of it, and the ids of all that ended.
_Recorded = tuple[Tracked, Sequence[str]]


class SqlTracking:
    """Implements `broker.tracking.Tracking`. `was_ended` is told the id of each notification that a mark ended."""

    def __init__(
        self, database: Database, clock: Clock, outbox: StatusOutbox, opens: Opens, was_ended: Callable[[str], None]
    ) -> None:
        self._database, self._clock, self._outbox, self._was_ended = database, clock, outbox, was_ended
        self._opens = opens

    async def clicked(self, notification_id: str, link: int, target: str) -> Tracked:
        now = to_micros(self._clock.now())
        where = {"notification_id": notification_id, "link": link, "target": target.replace("\0", "")}
        work = partial(_clicked, row={**where, "first_at": now, "clicks": 1}, now=now, outbox=self._outbox, opens=self._opens)
        return await self._record(notification_id, work)

    async def opened(self, notification_id: str, *, is_seen: bool) -> Tracked:
        marks = (Mark.OPENED, Mark.SEEN) if is_seen else (Mark.OPENED,)
        now = to_micros(self._clock.now())
        work = partial(_mark, id=notification_id, marks=marks, now=now, outbox=self._outbox, opens=self._opens)
        return await self._record(notification_id, work)

    async def mailed_at(self, notification_id: str) -> datetime | None:
        if not is_name(notification_id):
            raise NotFound("notification")
        asked = {"of_notification": notification_id}
        at = await self._database.read(lambda connection: connection.execute(_MAILED, asked).scalar_one())
        return None if at is None else from_micros(at)

    async def clicks_of(self, notification_id: str) -> Sequence[ClickedLink]:
        if not is_name(notification_id):
            raise NotFound("notification")
        return await self._database.read(lambda connection: _read(connection, notification_id))

    async def _record(self, notification_id: str, work: Callable[[Connection], _Recorded]) -> Tracked:
        if not is_name(notification_id):
            raise NotFound("notification")
        tracked, _ = await self._database.write(work, self._tell)
        return tracked

    def _tell(self, recorded: _Recorded) -> None:
        for notification_id in recorded[1]:
            self._was_ended(notification_id)


def _user(connection: Connection, notification_id: str) -> str:
    user: str | None = connection.execute(_USER, {"of_notification": notification_id}).scalar_one_or_none()
    if user is None:
        raise NotFound("notification")
    return user


def _mark(connection: Connection, id: str, marks: Sequence[Mark], now: int, outbox: StatusOutbox, opens: Opens) -> _Recorded:
    user = _user(connection, id)
    acknowledged: tuple[str, ...] = ()
    ended: list[str] = []
    for left in marks:
        marked = marking.mark(connection, [id], user, left, now, outbox, opens)
        if not marked.count:
            raise NotFound("notification")
        acknowledged += marked.acknowledged
        ended += marked.ended
    return Tracked(user, acknowledged), ended


def _clicked(connection: Connection, row: dict[str, Any], now: int, outbox: StatusOutbox, opens: Opens) -> _Recorded:
    # The mark at first: it holds the notification, so that nobody removes it meanwhile.
    recorded = _mark(connection, row["notification_id"], (Mark.CLICKED,), now, outbox, opens)
    put = upsert(connection, CLICKED_LINKS)
    connection.execute(
        put.on_conflict_do_update(index_elements=[_L.notification_id, _L.link], set_={"clicks": _L.clicks + 1}), row
    )
    return recorded


def _read(connection: Connection, notification_id: str) -> Sequence[ClickedLink]:
    _user(connection, notification_id)
    rows = connection.execute(_LINKS, {"of_notification": notification_id})
    return [ClickedLink(row.link, row.target, from_micros(row.first_at), row.clicks) for row in rows]
