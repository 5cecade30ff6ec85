"""Inboxes: where a notification lies in its user's, and the marks that users leave."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Add the column, its index and the table; older notifications lie in the inbox as read."""
    op.add_column("notifications", sa.Column("inbox", sa.SmallInteger, nullable=False, server_default="3"))
    op.create_index("notifications_by_user", "notifications", ["user", "inbox", "id"])
    op.create_table(
        "marks",
        sa.Column("notification_id", _TEXT, sa.ForeignKey("notifications.id"), primary_key=True),
        sa.Column("mark", _TEXT, primary_key=True),
        sa.Column("at", sa.BigInteger, nullable=False),
        sqlite_with_rowid=False,
    )


def downgrade() -> None:
    """Drop them."""
    op.drop_table("marks")
    op.drop_index("notifications_by_user", "notifications")
    with op.batch_alter_table("notifications") as notifications:
        notifications.drop_column("inbox")
