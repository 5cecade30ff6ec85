"""The table of the status webhook's switch: one row, for the settings that were started with last."""

from typing import Final

from sqlalchemy import BigInteger, Column, Table, Text

from broker.store.schema import METADATA

__all__ = ["WEBHOOK_SWITCH"]

_TEXT: Final = Text().with_variant(Text(collation="C"), "postgresql")

WEBHOOK_SWITCH: Final = Table(
    "webhook_switch",
    METADATA,
    Column("name", _TEXT, primary_key=True),
    Column("fingerprint", _TEXT, nullable=False),
    Column("failing_since", BigInteger),
    Column("failed_at", BigInteger),
    Column("disabled_at", BigInteger),
    Column("cause", _TEXT, nullable=False),
    sqlite_with_rowid=False,
)
