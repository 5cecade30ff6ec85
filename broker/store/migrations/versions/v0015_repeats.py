"""What is told once: recent contents, and the newest of each collapse key."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

_TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "recent_contents",
        sa.Column("user", _TEXT, primary_key=True),
        sa.Column("content", _TEXT, primary_key=True),
        sa.Column("notification_id", _TEXT, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index("recent_contents_by_notification", "recent_contents", ["notification_id"])
    op.create_table(
        "newest_of_keys",
        sa.Column("user", _TEXT, primary_key=True),
        sa.Column("key", _TEXT, primary_key=True),
        sa.Column("notification_id", _TEXT, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index("newest_of_keys_by_notification", "newest_of_keys", ["notification_id"])


def downgrade() -> None:
    """Drop them."""
    op.drop_table("newest_of_keys")
    op.drop_table("recent_contents")
