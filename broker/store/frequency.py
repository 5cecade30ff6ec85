"""What counts against caps, on SQL: a row per notification that was told, found by the primary key."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Connection, bindparam, delete, select

from broker.store.database import Database
from broker.store.dialect import Among, TextList, upsert
from broker.store.moments import to_micros
from broker.store.preference_tables import TOLD

__all__ = ["SqlFrequency", "ToldRow", "count_told"]

# user, category, notification, at (microseconds)
ToldRow = tuple[str, str, str, int]

# The longest window that the settings take: what is older counts nowhere.
_KEPT_US: Final = timedelta(days=31) // timedelta(microseconds=1)

_T: Final = TOLD.c
_SINCE: Final = select(_T.user, _T.notification_id).where(
    Among(_T.user, bindparam("among", type_=TextList())), _T.category == bindparam("of_category"), _T.at > bindparam("since")
)
_FORGET: Final = delete(TOLD).where(
    _T.user == bindparam("of_user"), _T.category == bindparam("of_category"), _T.at <= bindparam("before")
)


class SqlFrequency:
    """Implements `broker.frequency.Frequency`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def told(self, users: Sequence[str], category: str, *, since: datetime) -> Mapping[str, frozenset[str]]:
        asked = {"among": list(users), "of_category": category, "since": to_micros(since)}
        rows = await self._database.read(lambda connection: connection.execute(_SINCE, asked).all())
        ids: dict[str, set[str]] = {}
        for row in rows:
            ids.setdefault(row.user, set()).add(row.notification_id)
        return {user: frozenset(found) for user, found in ids.items()}


def count_told(connection: Connection, rows: Sequence[ToldRow]) -> None:
    """Count notifications, each once, and forget what is too old to count."""
    if not rows:
        return
    names = ("user", "category", "notification_id", "at")
    insert = upsert(connection, TOLD).on_conflict_do_nothing(index_elements=[_T.user, _T.category, _T.notification_id])
    connection.execute(insert, [dict(zip(names, row, strict=True)) for row in sorted(rows)])
    latest = {(user, category): at for user, category, _, at in rows}
    connection.execute(
        _FORGET,
        [
            {"of_user": user, "of_category": category, "before": at - _KEPT_US}
            for (user, category), at in sorted(latest.items())
        ],
    )
