"""The table of marks: when a user first saw, read, dismissed, clicked or archived a notification."""

from typing import Final

from sqlalchemy import BigInteger, Column, ForeignKey, Table, Text

from broker.store.schema import METADATA

__all__ = ["MARKS"]

_TEXT: Final = Text().with_variant(Text(collation="C"), "postgresql")

MARKS: Final = Table(
    "marks",
    METADATA,
    Column("notification_id", _TEXT, ForeignKey("notifications.id"), primary_key=True),
    Column("mark", _TEXT, primary_key=True),
    Column("at", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)
