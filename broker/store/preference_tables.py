"""The tables of what users ask for: their rules, digests that still take in, and what counts against their caps."""

from typing import Final

from sqlalchemy import BigInteger, Column, LargeBinary, Table, Text

from broker.store.schema import METADATA

__all__ = ["DIGESTS", "TOLD", "USER_RULES"]

_TEXT: Final = Text().with_variant(Text(collation="C"), "postgresql")

USER_RULES: Final = Table(
    "user_rules",
    METADATA,
    Column("user", _TEXT, primary_key=True),
    Column("body", LargeBinary, nullable=False),  # JSON of `broker.preferences.UserRules`
    sqlite_with_rowid=False,
)

# One row per digest that still takes in: the primary key holds that there is one at a time.
DIGESTS: Final = Table(
    "digests",
    METADATA,
    Column("user", _TEXT, primary_key=True),
    Column("key", _TEXT, primary_key=True),
    Column("digest_id", _TEXT, nullable=False),
    Column("closes_by", BigInteger),  # microseconds; where each one that joins begins the window anew: not beyond this
    sqlite_with_rowid=False,
)

# What a user was disturbed by, where that is counted; `at` in microseconds.
TOLD: Final = Table(
    "told",
    METADATA,
    Column("user", _TEXT, primary_key=True),
    Column("category", _TEXT, primary_key=True),
    Column("notification_id", _TEXT, primary_key=True),
    Column("at", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)
