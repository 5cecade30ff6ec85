"""The table of links that were clicked."""

from typing import Final

from sqlalchemy import BigInteger, Column, ForeignKey, Integer, Table, Text

from broker.store.schema import METADATA

__all__ = ["CLICKED_LINKS"]

_TEXT: Final = Text().with_variant(Text(collation="C"), "postgresql")

CLICKED_LINKS: Final = Table(
    "clicked_links",
    METADATA,
    Column("notification_id", _TEXT, ForeignKey("notifications.id"), primary_key=True),
    Column("link", Integer, primary_key=True, autoincrement=False),
    Column("target", _TEXT, nullable=False),
    Column("first_at", BigInteger, nullable=False),
    Column("clicks", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)
