"""The audit: records that wait, the chain, its head, and what stands for users in it."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

_TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
_NUMBER = sa.BigInteger().with_variant(sa.Integer, "sqlite")
_HAS_SUBJECT = sa.text("subject <> ''")
_TEXTS = (
    *("actor_kind", "actor", "subject", "action", "resource", "decision", "rule", "correlation_id"),
    *("transport", "node", "details", "address_digest", "key_id", "hash"),
)


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "audit_pending",
        sa.Column("number", _NUMBER, primary_key=True, autoincrement=True),
        sa.Column("body", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "audit_records",
        sa.Column("sequence", _NUMBER, primary_key=True, autoincrement=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        *(sa.Column(name, _TEXT, nullable=False) for name in _TEXTS),
        sa.Column("address", _TEXT),
    )
    op.create_index("audit_records_by_time", "audit_records", ["at", "sequence"])
    op.create_index("audit_records_by_action", "audit_records", ["action", "at", "sequence"])
    op.create_index(
        "audit_records_by_subject",
        "audit_records",
        ["subject", "at", "sequence"],
        sqlite_where=_HAS_SUBJECT,
        postgresql_where=_HAS_SUBJECT,
    )
    op.create_table(
        "audit_head",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("sequence", sa.BigInteger, nullable=False),
        *(sa.Column(name, _TEXT, nullable=False) for name in ("hash", "key_id", "seal")),
    )
    op.create_table(
        "audit_subjects",
        sa.Column("user", _TEXT, primary_key=True),
        sa.Column("subject", _TEXT, nullable=False),
        sa.Column("secret", _TEXT, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index("audit_subjects_by_subject", "audit_subjects", ["subject"], unique=True)


def downgrade() -> None:
    """Drop them."""
    for table in ("audit_subjects", "audit_head", "audit_records", "audit_pending"):
        op.drop_table(table)
