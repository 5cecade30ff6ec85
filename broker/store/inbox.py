"""The inboxes on SQL. Each place of a user is one range of one index, so that nothing is read but what is answered."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final

from sqlalchemy import Connection, Row, Select, bindparam, func, select, union_all

from broker.confirmations import Mark, Place
from broker.inbox import COUNT_CAP, MAX_MARKED, PLACES, InboxCounts, InboxEntry, InboxPage, Shelf
from broker.store import marking
from broker.store.database import Database
from broker.store.habits import Opens
from broker.store.marking import ALL_AT_ONCE, MarkedNow
from broker.store.moments import to_micros
from broker.store.rows import decode_draft, notification_from
from broker.store.schema import DRAFTS, NOTIFICATIONS
from broker.store.status_outbox import StatusOutbox
from broker.store.texts import is_name
from config.clock import Clock

__all__ = ["SqlInbox"]

# How many a page looks at while it searches for a category.
_LOOKED_AT: Final = 500
# Above every id.
_NEWEST: Final = "~"

_N: Final = NOTIFICATIONS.c


def _count_of(place: Place) -> Any:
    some = select(_N.id).where(_N.user == bindparam("of_user"), _N.inbox == int(place)).limit(COUNT_CAP).subquery()
    return select(func.count()).select_from(some).scalar_subquery()


def _page_of(places: Sequence[Place]) -> Select[Any]:
    """Read the newest of each place by index, and of these the newest."""
    of_places = [
        select(_N.id)
        .where(_N.user == bindparam("of_user"), _N.inbox == int(place), _N.id < bindparam("before"))
        .order_by(_N.id.desc())
        .limit(bindparam("quota"))
        .subquery()
        for place in places
    ]
    newest = union_all(*(select(part.c.id) for part in of_places)).subquery()
    return (
        select(_N.id.label("notification_id"), _N.user, _N.state, _N.inbox, _N.experiment, _N.variant, DRAFTS)
        .join_from(newest, NOTIFICATIONS, _N.id == newest.c.id)
        .join(DRAFTS, DRAFTS.c.id == _N.draft_id)
        .order_by(_N.id.desc())
        .limit(bindparam("quota"))
    )


_COUNTS: Final = select(_count_of(Place.UNSEEN).label("unseen"), _count_of(Place.UNREAD).label("seen"))
_PAGES: Final = {shelf: _page_of(places) for shelf, places in PLACES.items()}


class SqlInbox:
    """Implements `broker.inbox.Inbox`. `was_ended` is told the id of each notification that a mark ended."""

    def __init__(
        self, database: Database, clock: Clock, outbox: StatusOutbox, opens: Opens, was_ended: Callable[[str], None]
    ) -> None:
        self._database, self._clock, self._outbox, self._was_ended = database, clock, outbox, was_ended
        self._opens = opens

    async def page(self, user: str, shelf: Shelf, *, category: str = "", cursor: str = "", limit: int) -> InboxPage:
        if not (is_name(user) and is_name(cursor)):
            return InboxPage(())
        # One more than the page holds tells whether another one follows.
        quota = _LOOKED_AT if category else limit + 1
        asked = {"of_user": user, "before": cursor or _NEWEST, "quota": quota}
        return await self._database.read(
            lambda connection: _cut(connection.execute(_PAGES[shelf], asked).all(), category, limit, quota)
        )

    async def counts(self, users: Sequence[str]) -> Sequence[InboxCounts]:
        return await self._database.read(lambda connection: [_counts(connection, user) for user in users])

    async def mark(self, user: str, ids: Sequence[str], mark: Mark) -> Sequence[str]:
        named = [notification_id for notification_id in ids if is_name(notification_id)]
        if not (named and is_name(user)):
            return ()
        now = to_micros(self._clock.now())
        work = partial(marking.mark, ids=named, user=user, left=mark, now=now, outbox=self._outbox, opens=self._opens)
        return (await self._database.write(work, self._tell)).acknowledged

    async def mark_all(self, user: str, mark: Mark) -> Sequence[str]:
        if not is_name(user):
            return ()
        now = to_micros(self._clock.now())
        work = partial(marking.mark_next, user=user, left=mark, now=now, outbox=self._outbox, opens=self._opens)
        acknowledged: list[str] = []
        while True:
            marked = await self._database.write(work, self._tell)
            acknowledged += marked.acknowledged[: MAX_MARKED - len(acknowledged)]
            if marked.count < ALL_AT_ONCE:
                return acknowledged

    def _tell(self, marked: MarkedNow) -> None:
        for notification_id in marked.ended:
            self._was_ended(notification_id)


def _counts(connection: Connection, user: str) -> InboxCounts:
    if not is_name(user):
        return InboxCounts()
    row = connection.execute(_COUNTS, {"of_user": user}).one()
    return InboxCounts(row.unseen, min(COUNT_CAP, row.unseen + row.seen))


def _cut(rows: Sequence[Row[Any]], category: str, limit: int, quota: int) -> InboxPage:
    """Make a page of what was found, at most `quota` rows."""
    entries: list[InboxEntry] = []
    for row in rows:
        if len(entries) == limit:
            return InboxPage(entries, entries[-1].notification.id)
        draft = decode_draft(row)
        if category and draft.body.content.category != category:
            continue
        notification = notification_from(row.notification_id, row.user, row.state, draft, row.experiment, row.variant)
        entries.append(InboxEntry(notification, Place(row.inbox)))
    return InboxPage(entries, rows[-1].notification_id if len(rows) == quota else "")
