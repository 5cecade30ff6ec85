"""Which hour is counted next, and its numbers written down.

An hour is first counted when it is over, in the order of time; then again at ages that grow (`_AGES`), since what happens to a
notification happens mostly at once; and for the last time right before retention begins to remove its notifications. Whoever
counts an hour holds it for a while, so that others take the next one. That is only thrift: to count is to replace, and doing it
twice changes nothing.
"""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Final

import msgspec
from sqlalchemy import Connection, Row, bindparam, delete, func, insert, select, update

from broker.store.dialect import lock, upsert
from broker.store.moments import first_id_at, from_micros
from broker.store.schema import NOTIFICATIONS
from broker.store.statistics_facts import hour_of_id
from broker.store.statistics_table import COUNTED_HOURS, STATISTICS_HOURS
from broker.tallies import HOUR_US, Key, Scope, Tally

__all__ = ["Counting", "Keeping", "first_uncounted", "forget", "next_hour", "settle_hour", "take", "write_hour"]

# After its end: until then somebody with a slow clock or a slow commit may still add to it.
_GRACE_US: Final = 120_000_000
_HELD_US: Final = 900_000_000
_AGES: Final = tuple(timedelta(hours=hours) // timedelta(microseconds=1) for hours in (6, 24, 96, 720))
# So long before retention takes the first of an hour's notifications it is counted for the last time.
_AHEAD_US: Final = 2 * HOUR_US
_FORGOTTEN: Final = 24

_C: Final = COUNTED_HOURS.c
_H: Final = STATISTICS_HOURS.c
_ENCODER: Final = msgspec.json.Encoder()

_HOUR: Final = bindparam("of_hour", type_=_C.hour.type)
_NEWEST: Final = select(func.max(_C.hour))
_UNFINISHED: Final = select(func.min(_C.hour)).where(_C.counted_at.is_(None))
_EARLIEST: Final = (
    select(NOTIFICATIONS.c.id).where(NOTIFICATIONS.c.id >= bindparam("first")).order_by(NOTIFICATIONS.c.id).limit(1)
)
_DUE: Final = select(_C.hour).where(_C.due_at <= bindparam("now")).order_by(_C.due_at).limit(1)
_STANDING: Final = select(_C.hour, _C.counted_at, _C.due_at).where(_C.hour == _HOUR)
_HOLD: Final = update(COUNTED_HOURS).where(_C.hour == _HOUR).values(due_at=bindparam("until"))
_BEGIN: Final = insert(COUNTED_HOURS)
_CLEAR: Final = delete(STATISTICS_HOURS).where(_H.scope == bindparam("of_scope"), _H.hour == _HOUR)
_WRITE: Final = insert(STATISTICS_HOURS)
_OLD: Final = select(_C.hour).where(_C.hour < bindparam("before")).order_by(_C.hour).limit(_FORGOTTEN)
_FORGET: Final = delete(COUNTED_HOURS).where(_C.hour == _HOUR)


class Keeping(msgspec.Struct, frozen=True):
    """How long notifications and counted hours are kept, in microseconds; 0 for ever."""

    rows_us: int
    hours_us: int

    def may_be_gone(self, hour: int, now: int) -> bool:
        """Whether retention may have begun to remove an hour's notifications."""
        return 0 < self.rows_us <= now - hour

    def next_due(self, hour: int, now: int) -> int | None:
        """Tell when an hour that is counted now is to be counted again."""
        end = hour + HOUR_US
        due = next((end + age for age in _AGES if end + age > now), None)
        if not self.rows_us:
            return due
        last = hour + self.rows_us - _AHEAD_US
        if last <= now:
            return None
        return last if due is None else min(due, last)


class Counting(msgspec.Struct, frozen=True):
    """An hour that is held to be counted."""

    hour: int
    is_first: bool


def next_hour(connection: Connection, keeping: Keeping, now: int) -> int | None:
    """Look which hour is to be counted: one that never was, else one that is due again."""
    newest = connection.execute(_NEWEST).scalar_one()
    begins_at = 0 if newest is None else int(newest) + HOUR_US
    if keeping.hours_us:
        begins_at = max(begins_at, now - keeping.hours_us)
    first = connection.execute(_EARLIEST, {"first": first_id_at(from_micros(begins_at))}).scalar_one_or_none()
    if first is not None and (hour := hour_of_id(first)) + HOUR_US + _GRACE_US <= now:
        return hour
    due: int | None = connection.execute(_DUE, {"now": now}).scalar_one_or_none()
    return due


def take(connection: Connection, hour: int, now: int) -> Counting | None:
    """Hold an hour for a while; None where somebody else was faster."""
    lock(connection, "statistics")
    row = connection.execute(_STANDING, {"of_hour": hour}).one_or_none()
    if row is None:
        connection.execute(_BEGIN, {"hour": hour, "counted_at": None, "due_at": now + _HELD_US, "accepted": 0})
        return Counting(hour, is_first=True)
    if row.due_at is None or row.due_at > now:
        return None
    connection.execute(_HOLD, {"of_hour": hour, "until": now + _HELD_US})
    return Counting(hour, is_first=row.counted_at is None)


def settle_hour(connection: Connection, hour: int) -> None:
    """Leave an hour as it was counted, for good."""
    connection.execute(_HOLD, {"of_hour": hour, "until": None})


def write_hour(connection: Connection, hour: int, tallies: Mapping[Key, Tally], now: int, due_at: int | None) -> None:
    """Put numbers in the place of those of before."""
    lock(connection, "statistics")
    for scope in Scope:
        connection.execute(_CLEAR, {"of_scope": int(scope), "of_hour": hour})
    if tallies:
        connection.execute(_WRITE, [{**key._asdict(), "body": _ENCODER.encode(tally)} for key, tally in tallies.items()])
    accepted = sum(tally.counts["accepted"] for key, tally in tallies.items() if key.scope == Scope.WHOLE)
    values = {"counted_at": now, "due_at": due_at, "accepted": accepted}
    put = upsert(connection, COUNTED_HOURS).on_conflict_do_update(index_elements=[_C.hour], set_=values)
    connection.execute(put, {"hour": hour, **values})


def first_uncounted(connection: Connection) -> int:
    """Tell the first hour that has not been counted; the oldest that there may be, where none has."""
    newest, unfinished = connection.execute(_NEWEST).scalar_one(), connection.execute(_UNFINISHED).scalar_one()
    if unfinished is not None:
        return int(unfinished)
    if newest is not None:
        return int(newest) + HOUR_US
    first = connection.execute(_EARLIEST, {"first": ""}).scalar_one_or_none()
    return 0 if first is None else hour_of_id(first)


def forget(connection: Connection, before: int) -> bool:
    """Remove some counted hours of before a moment."""
    lock(connection, "statistics")
    hours: Sequence[Row[tuple[int]]] = connection.execute(_OLD, {"before": before}).all()
    for (hour,) in hours:
        for scope in Scope:
            connection.execute(_CLEAR, {"of_scope": int(scope), "of_hour": hour})
        connection.execute(_FORGET, {"of_hour": hour})
    return bool(hours)
