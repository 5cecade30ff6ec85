"""The table of templates. Rows are never changed: a version is added, and the oldest go."""

from typing import Final

from sqlalchemy import BigInteger, Column, Index, Integer, LargeBinary, Table, Text

from broker.store.schema import METADATA

__all__ = ["TEMPLATES"]

_TEXT: Final = Text().with_variant(Text(collation="C"), "postgresql")

TEMPLATES: Final = Table(
    "templates",
    METADATA,
    Column("name", _TEXT, primary_key=True),
    Column("locale", _TEXT, primary_key=True),
    Column("route", _TEXT, primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("created_at", BigInteger, nullable=False),
    Column("text", LargeBinary),  # JSON of `broker.templates.TemplateText`; NULL in the version that removed it
    Index("templates_by_version", "name", "version"),
    sqlite_with_rowid=False,
)
