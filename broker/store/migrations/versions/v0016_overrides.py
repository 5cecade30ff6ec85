"""What operators have said otherwise for a while."""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

_TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "overrides",
        sa.Column("kind", _TEXT, primary_key=True),
        sa.Column("target", _TEXT, primary_key=True),
        sa.Column("value", sa.LargeBinary, nullable=False),
        sa.Column("reason", _TEXT, nullable=False),
        sa.Column("set_by", _TEXT, nullable=False),
        sa.Column("set_at", sa.BigInteger, nullable=False),
        sa.Column("expires_at", sa.BigInteger, nullable=False),
        sqlite_with_rowid=False,
    )


def downgrade() -> None:
    """Drop it."""
    op.drop_table("overrides")
