"""Marks that users leave: recorded, moved in the inbox, and what is pending ended, all in the transaction that brings them."""

from collections.abc import Sequence
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, Row, bindparam, delete, exists, insert, not_, select, update

from broker.confirmations import RULES, Mark, Place
from broker.errors import NotFound
from broker.notification import Entry, Outcome, State
from broker.store.bulk import Rows, execute_rows, insert_rows
from broker.store.companions import call_off
from broker.store.dialect import Among, TextList
from broker.store.digests import members_of
from broker.store.habits import Opens
from broker.store.marks_table import MARKS
from broker.store.moments import from_micros
from broker.store.rows import ENTRY_COLUMNS, entry_row
from broker.store.schema import ENTRIES, NOTIFICATIONS, STEPS
from broker.store.status_outbox import StatusOutbox

__all__ = ["ALL_AT_ONCE", "MarkedNow", "acknowledge", "mark", "mark_next"]

# How many a transaction of "mark all" takes: a few milliseconds, for which nobody else has to wait long.
ALL_AT_ONCE: Final = 500

_N: Final = NOTIFICATIONS.c
_M: Final = MARKS.c
_IDS: Final = bindparam("among", type_=TextList())

# Before the notifications, and in one order, as a record does: both wait for whoever has the steps, and then see what he did.
_HOLD_STEPS: Final = (
    select(STEPS.c.device_id)
    .where(Among(STEPS.c.notification_id, _IDS))
    .order_by(STEPS.c.notification_id, STEPS.c.device_id)
    .with_for_update()
)
_STANDING: Final = (
    select(_N.id, _N.state, _N.inbox, _N.digest_id, _N.escalation_id)
    .where(Among(_N.id, _IDS), _N.user == bindparam("of_user"))
    .order_by(_N.id)
    .with_for_update(key_share=True)
)
_MOVED: Final = Rows(_N.id, _N.state, _N.inbox)
_MOVE: Final = update(NOTIFICATIONS).where(_N.id == _MOVED[_N.id]).values(state=_MOVED[_N.state], inbox=_MOVED[_N.inbox])
_REMOVE_STEPS: Final = delete(STEPS).where(Among(STEPS.c.notification_id, _IDS))
_WRITE: Final = insert_rows(ENTRIES, *ENTRY_COLUMNS)
_LEFT: Final = Rows(_M.notification_id, _M.mark, _M.at)
_REMEMBER: Final = insert(MARKS).from_select(
    [_M.notification_id, _M.mark, _M.at],
    select(*(_LEFT[column] for column in _LEFT.columns))
    .select_from(_LEFT.given)
    # The notification's row is held, so nobody else writes its marks now.
    .where(not_(exists().where(_M.notification_id == _LEFT[_M.notification_id], _M.mark == _LEFT[_M.mark]))),
)
_NEXT: Final = (
    select(_N.id)
    .where(_N.user == bindparam("of_user"), _N.inbox == bindparam("place"))
    .order_by(_N.id)
    .limit(bindparam("quota"))
)


_Standing = Row[Any, Any, Any, Any, Any]  # of `_STANDING`


class MarkedNow(msgspec.Struct, frozen=True):
    """How many of the user's were asked for, the ids of those that this acknowledged, and of all that ended, others' too."""

    count: int
    acknowledged: tuple[str, ...]
    ended: tuple[str, ...]


def acknowledge(
    connection: Connection, notification_id: str, user: str, left: Mark, now: int, outbox: StatusOutbox, opens: Opens
) -> tuple[State, tuple[str, ...]]:
    """Record that the user saw it; tell the state after, and the ids of those that ended with it.

    Raises:
        NotFound: No such notification, or another user's.
    """
    assert RULES[left].ends, "only what says that it was seen acknowledges"
    rows = _hold(connection, [notification_id], user)
    if not rows:
        raise NotFound("notification")
    outbox.ended(connection, _leave(connection, rows, left, now), user, State.ACKNOWLEDGED, now)
    beside = _end_beside(connection, rows, user, left, now, outbox)
    _count_open(connection, rows, user, left, now, opens)
    state = State(rows[0].state)
    return State.ACKNOWLEDGED if state.accepts_ack else state, beside


def mark(
    connection: Connection, ids: Sequence[str], user: str, left: Mark, now: int, outbox: StatusOutbox, opens: Opens
) -> MarkedNow:
    """Mark those of `ids` that are the user's."""
    rows, marked = _mark(connection, ids, user, left, now, outbox)
    _count_open(connection, rows, user, left, now, opens)
    return marked


def mark_next(connection: Connection, user: str, left: Mark, now: int, outbox: StatusOutbox, opens: Opens) -> MarkedNow:
    """Mark some of those that the mark moves; fewer than `ALL_AT_ONCE` were the last. The archive is left alone."""
    ids: list[str] = []
    for place in RULES[left].moves:
        if place is not Place.ARCHIVED and len(ids) < ALL_AT_ONCE:
            asked = {"of_user": user, "place": int(place), "quota": ALL_AT_ONCE - len(ids)}
            ids += connection.execute(_NEXT, asked).scalars()
    found = mark(connection, ids, user, left, now, outbox, opens) if ids else MarkedNow(0, (), ())
    return MarkedNow(len(ids), found.acknowledged, found.ended)


def _mark(
    connection: Connection, ids: Sequence[str], user: str, left: Mark, now: int, outbox: StatusOutbox
) -> tuple[Sequence[_Standing], MarkedNow]:
    """Mark them; tells also how they stood before."""
    rows = _hold(connection, sorted(set(ids)), user)
    ended = _leave(connection, rows, left, now)
    outbox.ended(connection, ended, user, State.ACKNOWLEDGED, now)
    return rows, MarkedNow(len(rows), ended, (*ended, *_end_beside(connection, rows, user, left, now, outbox)))


def _count_open(connection: Connection, rows: Sequence[_Standing], user: str, left: Mark, now: int, opens: Opens) -> None:
    """Count it once, however many are marked together, where any was not seen before."""
    if any(row.inbox == Place.UNSEEN or State(row.state).accepts_ack for row in rows):
        opens.marked(connection, user, left, now)


def _hold(connection: Connection, ids: Sequence[str], user: str) -> Sequence[_Standing]:
    connection.execute(_HOLD_STEPS, {"among": ids})
    return connection.execute(_STANDING, {"among": ids, "of_user": user}).all()


def _end_beside(
    connection: Connection, rows: Sequence[_Standing], user: str, left: Mark, now: int, outbox: StatusOutbox
) -> tuple[str, ...]:
    """End what goes with notifications that were seen: who has seen a digest has seen what it tells, and nobody else need be
    told of what was to escalate. Tells which ended."""
    if not RULES[left].ends:
        return ()
    escalations = [row.escalation_id for row in rows if row.escalation_id]
    called_off = call_off(connection, escalations, now, outbox, "it was seen")
    members = [member for row in rows if row.digest_id == row.id for member in members_of(connection, row.id)]
    return (*called_off, *_mark(connection, members, user, left, now, outbox)[1].ended) if members else called_off


def _leave(connection: Connection, rows: Sequence[_Standing], left: Mark, now: int) -> tuple[str, ...]:
    """Leave a mark on notifications that are held; tell which of them ended by it."""
    rule = RULES[left]
    ended = tuple(row.id for row in rows if rule.ends and State(row.state).accepts_ack)
    moved = []
    for row in rows:
        state = State.ACKNOWLEDGED.value if rule.ends and State(row.state).accepts_ack else row.state
        place = int(rule.place_after(Place(row.inbox)))
        if (state, place) != (row.state, row.inbox):
            moved.append((row.id, state, place))
    execute_rows(connection, _MOVE, moved)
    if ended:
        connection.execute(_REMOVE_STEPS, {"among": list(ended)})
        # No route: who saw it says so, not where. That it was an ack is told by the outcome alone.
        detail = "" if left is Mark.SEEN else left.value
        entry = Entry("", Outcome.ACKNOWLEDGED, from_micros(now), detail=detail)
        execute_rows(connection, _WRITE, [entry_row(notification_id, entry) for notification_id in ended])
    execute_rows(connection, _REMEMBER, [(row.id, record.value, now) for row in rows for record in rule.records])
    return ended
