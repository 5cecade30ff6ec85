"""The tables of the audit.

`audit_pending` takes records as they are made, in the transaction of whatever they tell of: rows without order, so that writers
never wait for each other. `audit_records` is the chain, which one writer at a time prolongs. `audit_head` is one row: the
newest record's place and hash. `audit_subjects` leads from users to what stands for them in the chain; a row of it is all that
erasure removes (it has a column `user`), but for the addresses in `audit_records`, which no hash covers as they are.
"""

from typing import Final

from sqlalchemy import BigInteger, Column, Index, Integer, LargeBinary, Table, Text, text

from broker.store.schema import METADATA

__all__ = ["AUDIT_HEAD", "AUDIT_PENDING", "AUDIT_RECORDS", "AUDIT_SUBJECTS"]

_TEXT: Final = Text().with_variant(Text(collation="C"), "postgresql")
_NUMBER: Final = BigInteger().with_variant(Integer, "sqlite")
_HAS_SUBJECT: Final = text("subject <> ''")
_HAS_RULE: Final = text("rule <> ''")

AUDIT_PENDING: Final = Table(
    "audit_pending",
    METADATA,
    Column("number", _NUMBER, primary_key=True, autoincrement=True),
    Column("body", LargeBinary, nullable=False),  # JSON of `AuditRecord`
)

AUDIT_RECORDS: Final = Table(
    "audit_records",
    METADATA,
    Column("sequence", _NUMBER, primary_key=True, autoincrement=False),
    Column("at", BigInteger, nullable=False),
    Column("actor_kind", _TEXT, nullable=False),
    Column("actor", _TEXT, nullable=False),  # empty for a user, whom `subject` stands for
    Column("subject", _TEXT, nullable=False),
    Column("action", _TEXT, nullable=False),
    Column("resource", _TEXT, nullable=False),
    Column("decision", _TEXT, nullable=False),
    Column("rule", _TEXT, nullable=False),
    Column("correlation_id", _TEXT, nullable=False),
    Column("transport", _TEXT, nullable=False),
    Column("node", _TEXT, nullable=False),
    Column("details", _TEXT, nullable=False),  # JSON, or empty
    Column("address_digest", _TEXT, nullable=False),
    Column("key_id", _TEXT, nullable=False),
    Column("hash", _TEXT, nullable=False),
    Column("address", _TEXT),  # outside the hash, which covers its digest; NULL once the user was erased
    Index("audit_records_by_time", "at", "sequence"),
    Index("audit_records_by_action", "action", "at", "sequence"),
    Index("audit_records_by_subject", "subject", "at", "sequence", sqlite_where=_HAS_SUBJECT, postgresql_where=_HAS_SUBJECT),
    Index("audit_records_by_rule", "rule", "at", "sequence", sqlite_where=_HAS_RULE, postgresql_where=_HAS_RULE),
)

AUDIT_HEAD: Final = Table(
    "audit_head",
    METADATA,
    Column("id", Integer, primary_key=True, autoincrement=False),  # always 1
    Column("sequence", BigInteger, nullable=False),
    Column("hash", _TEXT, nullable=False),
    Column("key_id", _TEXT, nullable=False),
    Column("seal", _TEXT, nullable=False),
)

# `secret` keys the digests of the user's id and addresses: without it neither can be found by guessing.
AUDIT_SUBJECTS: Final = Table(
    "audit_subjects",
    METADATA,
    Column("user", _TEXT, primary_key=True),
    Column("subject", _TEXT, nullable=False),
    Column("secret", _TEXT, nullable=False),
    Index("audit_subjects_by_subject", "subject", unique=True),
    sqlite_with_rowid=False,
)
