"""Rules of users, preferences that end, digests, escalations, and what counts against caps."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
_IN_DIGESTS = sa.text("digest_id <> ''")


def upgrade() -> None:
    """Add the columns, the index and the tables; older notifications are in no digest and have no escalation."""
    op.add_column("preferences", sa.Column("until", sa.BigInteger))
    op.add_column("notifications", sa.Column("digest_id", _TEXT, nullable=False, server_default=""))
    op.add_column("notifications", sa.Column("escalation_id", _TEXT, nullable=False, server_default=""))
    op.create_index(
        "notifications_by_digest", "notifications", ["digest_id"], sqlite_where=_IN_DIGESTS, postgresql_where=_IN_DIGESTS
    )
    op.create_table(
        "user_rules",
        sa.Column("user", _TEXT, primary_key=True),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "digests",
        sa.Column("user", _TEXT, primary_key=True),
        sa.Column("key", _TEXT, primary_key=True),
        sa.Column("digest_id", _TEXT, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "told",
        sa.Column("user", _TEXT, primary_key=True),
        sa.Column("category", _TEXT, primary_key=True),
        sa.Column("notification_id", _TEXT, primary_key=True),
        sa.Column("at", sa.BigInteger, nullable=False),
        sqlite_with_rowid=False,
    )


def downgrade() -> None:
    """Drop them."""
    for table in ("told", "digests", "user_rules"):
        op.drop_table(table)
    op.drop_index("notifications_by_digest", "notifications")
    with op.batch_alter_table("notifications") as notifications:
        notifications.drop_column("escalation_id")
        notifications.drop_column("digest_id")
    with op.batch_alter_table("preferences") as preferences:
        preferences.drop_column("until")
