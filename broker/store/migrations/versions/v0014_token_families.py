"""Families of refresh tokens, and words about who is not let in."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

_TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Add the tables; what engines know of revocations is not in them yet, and stays with the engines."""
    op.create_table(
        "token_families",
        sa.Column("id", _TEXT, primary_key=True),
        sa.Column("user", _TEXT, nullable=False),
        sa.Column("claims", sa.LargeBinary, nullable=False),
        sa.Column("access_ttl_s", sa.Float, nullable=False),
        sa.Column("salt", sa.LargeBinary, nullable=False),
        sa.Column("generation", sa.Integer, nullable=False),
        sa.Column("digest", sa.LargeBinary, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("rotated_at", sa.BigInteger, nullable=False),
        sa.Column("token_expires_at", sa.BigInteger, nullable=False),
        sa.Column("expires_at", sa.BigInteger, nullable=False),
        sa.Column("ended_at", sa.BigInteger),
        sa.Column("reason", _TEXT, nullable=False),
    )
    op.create_index("token_families_by_user", "token_families", ["user", "created_at"])
    op.create_index("token_families_by_end", "token_families", ["token_expires_at"])
    op.create_table(
        "revocations",
        sa.Column("kind", _TEXT, primary_key=True),
        sa.Column("subject", _TEXT, primary_key=True),
        sa.Column("channel", _TEXT, primary_key=True),
        sa.Column("issued_before", sa.BigInteger, nullable=False),
        sa.Column("until", sa.BigInteger, nullable=False),
    )
    op.create_index("revocations_by_end", "revocations", ["until"])


def downgrade() -> None:
    """Drop them."""
    for table in ("revocations", "token_families"):
        op.drop_table(table)
