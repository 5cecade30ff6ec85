"""The tables of what is told once: contents lately told to users, and which notification of a collapse key is the newest.

Their rows go with the notification that they name.
"""

from typing import Final

from sqlalchemy import BigInteger, Column, Index, Table, Text

from broker.store.schema import METADATA

__all__ = ["NEWEST_OF_KEYS", "RECENT_CONTENTS"]

_TEXT: Final = Text().with_variant(Text(collation="C"), "postgresql")

RECENT_CONTENTS: Final = Table(
    "recent_contents",
    METADATA,
    Column("user", _TEXT, primary_key=True),
    Column("content", _TEXT, primary_key=True),  # SHA-256, in hexadecimal
    Column("notification_id", _TEXT, nullable=False),
    Column("at", BigInteger, nullable=False),
    Index("recent_contents_by_notification", "notification_id"),
    sqlite_with_rowid=False,
)

NEWEST_OF_KEYS: Final = Table(
    "newest_of_keys",
    METADATA,
    Column("user", _TEXT, primary_key=True),
    Column("key", _TEXT, primary_key=True),
    Column("notification_id", _TEXT, nullable=False),
    Index("newest_of_keys_by_notification", "notification_id"),
    sqlite_with_rowid=False,
)
