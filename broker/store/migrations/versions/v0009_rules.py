"""Who may do what: keys of the API, roles and who has them, policies, and the versions of each."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

_TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Add the tables; there are no rules beside those of the settings yet."""
    op.create_table(
        "rule_versions",
        sa.Column("subject", _TEXT, primary_key=True),
        sa.Column("version", sa.BigInteger, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "api_keys",
        sa.Column("id", _TEXT, primary_key=True),
        sa.Column("name", _TEXT, nullable=False, unique=True),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.Column("hash", sa.LargeBinary, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("previous_hash", sa.LargeBinary, nullable=False),
        sa.Column("previous_until", sa.BigInteger),
        sa.Column("rotated_at", sa.BigInteger),
        sa.Column("last_used_at", sa.BigInteger),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "roles",
        sa.Column("name", _TEXT, primary_key=True),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "role_assignments",
        sa.Column("user", _TEXT, primary_key=True),
        sa.Column("role", _TEXT, primary_key=True),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "policies",
        sa.Column("version", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("mode", _TEXT, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("comment", _TEXT, nullable=False),
        sa.Column("document", sa.LargeBinary, nullable=False),
    )


def downgrade() -> None:
    """Drop them."""
    for table in ("policies", "role_assignments", "roles", "api_keys", "rule_versions"):
        op.drop_table(table)
