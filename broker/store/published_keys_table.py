"""The table of the keys that issuers were last seen to publish: a row per issuer."""

from typing import Final

from sqlalchemy import Column, LargeBinary, Table, Text

from broker.store.schema import METADATA

__all__ = ["PUBLISHED_KEYS"]

_TEXT: Final = Text().with_variant(Text(collation="C"), "postgresql")

PUBLISHED_KEYS: Final = Table(
    "published_keys",
    METADATA,
    Column("issuer", _TEXT, primary_key=True),
    Column("digests", LargeBinary, nullable=False),  # JSON: by kid
    sqlite_with_rowid=False,
)
