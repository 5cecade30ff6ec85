"""The table of devices that were set aside: those of `devices` that a provider called gone, with when and why.

A table of its own, so that no query of the pipeline has to pass them over.
"""

from typing import Final

from sqlalchemy import BigInteger, Column, Index, LargeBinary, Table, Text

from broker.store.schema import METADATA

__all__ = ["REMOVED_DEVICES"]

_TEXT: Final = Text().with_variant(Text(collation="C"), "postgresql")

REMOVED_DEVICES: Final = Table(
    "removed_devices",
    METADATA,
    Column("id", _TEXT, primary_key=True),
    Column("user", _TEXT, nullable=False),
    Column("provider", _TEXT, nullable=False),
    Column("token_digest", LargeBinary, nullable=False),
    Column("token", _TEXT, nullable=False),
    Column("platform", _TEXT, nullable=False),
    Column("locale", _TEXT, nullable=False),
    Column("timezone", _TEXT, nullable=False),
    Column("registered_at", BigInteger, nullable=False),
    Column("app", _TEXT, nullable=False),
    Column("removed_at", BigInteger, nullable=False),
    Column("because", _TEXT, nullable=False),
    Index("removed_devices_by_address", "provider", "token_digest"),
    Index("removed_devices_by_user", "user"),
    Index("removed_devices_by_time", "removed_at", "id"),
)
