"""The tables of who may do what: keys of the API, roles and who has them, policies; and the versions of each."""

from typing import Final

from sqlalchemy import BigInteger, Column, Integer, LargeBinary, Table, Text

from broker.store.schema import METADATA

__all__ = ["API_KEYS", "POLICIES", "ROLES", "ROLE_ASSIGNMENTS", "RULE_VERSIONS"]

_TEXT: Final = Text().with_variant(Text(collation="C"), "postgresql")

RULE_VERSIONS: Final = Table(
    "rule_versions",
    METADATA,
    Column("subject", _TEXT, primary_key=True),
    Column("version", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

API_KEYS: Final = Table(
    "api_keys",
    METADATA,
    Column("id", _TEXT, primary_key=True),
    Column("name", _TEXT, nullable=False, unique=True),
    Column("body", LargeBinary, nullable=False),  # JSON of `broker.api_keys.ApiKeyGrant`
    Column("hash", LargeBinary, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("previous_hash", LargeBinary, nullable=False),
    Column("previous_until", BigInteger),
    Column("rotated_at", BigInteger),
    Column("last_used_at", BigInteger),
    sqlite_with_rowid=False,
)

ROLES: Final = Table(
    "roles",
    METADATA,
    Column("name", _TEXT, primary_key=True),
    Column("body", LargeBinary, nullable=False),  # JSON of the role's permissions
    sqlite_with_rowid=False,
)

# `role` refers to nothing: it may be one of the settings.
ROLE_ASSIGNMENTS: Final = Table(
    "role_assignments",
    METADATA,
    Column("user", _TEXT, primary_key=True),
    Column("role", _TEXT, primary_key=True),
    sqlite_with_rowid=False,
)

POLICIES: Final = Table(
    "policies",
    METADATA,
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("mode", _TEXT, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("comment", _TEXT, nullable=False),
    Column("document", LargeBinary, nullable=False),
)
