"""The tables of topics. Subscriptions name their topic by a number, so that those of a topic that was removed belong to nobody
until they are cleared away, whatever is created by its name."""

from typing import Final

from sqlalchemy import BigInteger, Column, Index, Integer, Table, Text

from broker.store.schema import METADATA

__all__ = ["SUBSCRIBERS", "TOPICS"]

_TEXT: Final = Text().with_variant(Text(collation="C"), "postgresql")
_NUMBER: Final = BigInteger().with_variant(Integer, "sqlite")

# The name is NULL once the topic was removed. Numbers never come again: campaigns remember them.
TOPICS: Final = Table(
    "topics",
    METADATA,
    Column("number", _NUMBER, primary_key=True, autoincrement=True),
    Column("name", _TEXT),
    Column("created_at", BigInteger, nullable=False),
    Index("topics_by_name", "name", unique=True),
    sqlite_autoincrement=True,
)

# An empty `device_id` is the user as a whole, and so stands before the user's devices.
SUBSCRIBERS: Final = Table(
    "topic_subscribers",
    METADATA,
    Column("topic", BigInteger, primary_key=True),
    Column("user", _TEXT, primary_key=True),
    Column("device_id", _TEXT, primary_key=True),
    Column("subscribed_at", BigInteger, nullable=False),
    Index("topic_subscribers_by_user", "user", "topic"),
    sqlite_with_rowid=False,
)
