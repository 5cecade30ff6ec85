"""The table of when users open what they are told: a row per user, where that is kept."""

from typing import Final

from sqlalchemy import Column, LargeBinary, Table, Text

from broker.store.schema import METADATA

__all__ = ["HABITS"]

_TEXT: Final = Text().with_variant(Text(collation="C"), "postgresql")

HABITS: Final = Table(
    "habits",
    METADATA,
    Column("user", _TEXT, primary_key=True),
    Column("hours", LargeBinary, nullable=False),  # JSON: how many opens, by the hour of the user's day
    sqlite_with_rowid=False,
)
