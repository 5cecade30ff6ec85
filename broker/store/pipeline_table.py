"""The table of what pipelines say of themselves: a row per process, written over every few seconds."""

from typing import Final

from sqlalchemy import BigInteger, Column, LargeBinary, Table, Text

from broker.store.schema import METADATA

__all__ = ["PIPELINES"]

_TEXT: Final = Text().with_variant(Text(collation="C"), "postgresql")

PIPELINES: Final = Table(
    "pipelines",
    METADATA,
    Column("worker", _TEXT, primary_key=True),
    Column("seen_at", BigInteger, nullable=False),
    Column("body", LargeBinary, nullable=False),  # JSON
    sqlite_with_rowid=False,
)
