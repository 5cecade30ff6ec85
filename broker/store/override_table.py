"""The table of what operators have said otherwise: a row per kind and target, with its end."""

from typing import Final

from sqlalchemy import BigInteger, Column, LargeBinary, Table, Text

from broker.store.schema import METADATA

__all__ = ["OVERRIDES"]

_TEXT: Final = Text().with_variant(Text(collation="C"), "postgresql")

OVERRIDES: Final = Table(
    "overrides",
    METADATA,
    Column("kind", _TEXT, primary_key=True),
    Column("target", _TEXT, primary_key=True),
    Column("value", LargeBinary, nullable=False),  # JSON
    Column("reason", _TEXT, nullable=False),
    Column("set_by", _TEXT, nullable=False),
    Column("set_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)
