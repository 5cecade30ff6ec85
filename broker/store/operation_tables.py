"""The tables of operation: dead letters, guards that keep devices, addresses that are left alone, events on their way out.

None refers to `notifications`: their rows outlive a notification, or go with it by a delete of their own, and a foreign key
would cost each write a lock on a row that everybody wants.
"""

from typing import Final

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, LargeBinary, Table, Text

from broker.store.schema import METADATA

__all__ = ["DEAD_LETTERS", "DELETION_GUARDS", "STATUS_EVENTS", "SUPPRESSIONS"]

_TEXT: Final = Text().with_variant(Text(collation="C"), "postgresql")
_NUMBER: Final = BigInteger().with_variant(Integer, "sqlite")

# One row for each delivery that ended without success, and one (with the empty device) for each notification that failed.
DEAD_LETTERS: Final = Table(
    "dead_letters",
    METADATA,
    Column("number", _NUMBER, primary_key=True, autoincrement=True),
    Column("notification_id", _TEXT, nullable=False),
    Column("device_id", _TEXT, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("route", _TEXT, nullable=False),
    Column("provider", _TEXT, nullable=False),
    Column("address", _TEXT, nullable=False),
    Column("reason", _TEXT, nullable=False),
    Column("detail", _TEXT, nullable=False),
    Column("replayed_at", BigInteger),
    Index("dead_letters_by_notification", "notification_id"),
)

DELETION_GUARDS: Final = Table(
    "deletion_guards",
    METADATA,
    Column("carrier", _TEXT, primary_key=True),
    Column("worker", _TEXT, primary_key=True),
    Column("closed_at", BigInteger, nullable=False),
    Column("seen_at", BigInteger, nullable=False),
    Column("kept", BigInteger, nullable=False),
    Column("is_trusted", Boolean, nullable=False),
    sqlite_with_rowid=False,
)

# `user` is whose address it was when that is known, so that it can be erased with them.
SUPPRESSIONS: Final = Table(
    "suppressions",
    METADATA,
    Column("provider", _TEXT, primary_key=True),
    Column("address", _TEXT, primary_key=True),
    Column("reason", _TEXT, nullable=False),
    Column("detail", _TEXT, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("user", _TEXT, nullable=False),
    Index("suppressions_by_user", "user"),
    sqlite_with_rowid=False,
)

# `due_at` is when an event may be taken, as in `steps`; NULL where it was given up.
STATUS_EVENTS: Final = Table(
    "status_events",
    METADATA,
    Column("number", _NUMBER, primary_key=True, autoincrement=True),
    Column("id", _TEXT, nullable=False),
    Column("notification_id", _TEXT, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("due_at", BigInteger),
    Column("attempt", Integer, nullable=False),
    Column("lease", _TEXT),
    Column("body", LargeBinary, nullable=False),
    Index("status_events_by_due", "due_at"),
    Index("status_events_by_notification", "notification_id", "number"),
)
