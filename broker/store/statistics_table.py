"""The tables of statistics: numbers of counted hours, and when each was counted. They name no user and no notification."""

from typing import Final

from sqlalchemy import BigInteger, Column, Index, LargeBinary, SmallInteger, Table, Text

from broker.store.schema import METADATA

__all__ = ["COUNTED_HOURS", "STATISTICS_HOURS"]

_TEXT: Final = Text().with_variant(Text(collation="C"), "postgresql")

# A row per `broker.tallies.Key`; an hour is known by its beginning. `body` is the JSON of a `Tally`.
STATISTICS_HOURS: Final = Table(
    "statistics_hours",
    METADATA,
    Column("scope", SmallInteger, primary_key=True, autoincrement=False),
    Column("hour", BigInteger, primary_key=True, autoincrement=False),
    Column("category", _TEXT, primary_key=True),
    Column("lane", SmallInteger, primary_key=True, autoincrement=False),
    Column("experiment", _TEXT, primary_key=True),
    Column("variant", _TEXT, primary_key=True),
    Column("route", _TEXT, primary_key=True),
    Column("provider", _TEXT, primary_key=True),
    Column("body", LargeBinary, nullable=False),
    sqlite_with_rowid=False,
)

# `counted_at` is NULL while it is counted for the first time, and `due_at` when it may be counted next: NULL for never.
COUNTED_HOURS: Final = Table(
    "counted_hours",
    METADATA,
    Column("hour", BigInteger, primary_key=True, autoincrement=False),
    Column("counted_at", BigInteger),
    Column("due_at", BigInteger),
    Column("accepted", BigInteger, nullable=False),
    Index("counted_hours_by_due", "due_at"),
    sqlite_with_rowid=False,
)
