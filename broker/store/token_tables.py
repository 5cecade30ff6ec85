"""The tables of trust in tokens: families of refresh tokens, and words about who is not let in.

`revocations` has no column `user`: erasing somebody must not let a stolen token of theirs in again, nor end a block. Its rows
are forgotten at the moment that whoever said them chose.
"""

from typing import Final

from sqlalchemy import BigInteger, Column, Float, Index, Integer, LargeBinary, Table, Text

from broker.store.schema import METADATA

__all__ = ["REVOCATIONS", "TOKEN_FAMILIES"]

_TEXT: Final = Text().with_variant(Text(collation="C"), "postgresql")

TOKEN_FAMILIES: Final = Table(
    "token_families",
    METADATA,
    Column("id", _TEXT, primary_key=True),
    Column("user", _TEXT, nullable=False),
    Column("claims", LargeBinary, nullable=False),
    Column("access_ttl_s", Float, nullable=False),
    Column("salt", LargeBinary, nullable=False),
    Column("generation", Integer, nullable=False),
    Column("digest", LargeBinary, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("rotated_at", BigInteger, nullable=False),
    Column("token_expires_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("ended_at", BigInteger),
    Column("reason", _TEXT, nullable=False),
    Index("token_families_by_user", "user", "created_at"),
    Index("token_families_by_end", "token_expires_at"),
)

# `until` is when a word is forgotten: microseconds, or `FOR_EVER`.
REVOCATIONS: Final = Table(
    "revocations",
    METADATA,
    Column("kind", _TEXT, primary_key=True),
    Column("subject", _TEXT, primary_key=True),
    Column("channel", _TEXT, primary_key=True),
    Column("issued_before", BigInteger, nullable=False),
    Column("until", BigInteger, nullable=False),
    Index("revocations_by_end", "until"),
)
