"""Dead letters, guards of devices, suppressed addresses, events for webhooks; an index from a draft to its notifications."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
_NUMBER = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """Create the tables and the index."""
    op.create_index("notifications_by_draft", "notifications", ["draft_id"])
    _create_dead_letters()
    _create_guards()
    _create_events()


def downgrade() -> None:
    """Drop them."""
    for table in ("status_events", "suppressions", "deletion_guards", "dead_letters"):
        op.drop_table(table)
    op.drop_index("notifications_by_draft", "notifications")


def _create_dead_letters() -> None:
    op.create_table(
        "dead_letters",
        sa.Column("number", _NUMBER, primary_key=True, autoincrement=True),
        sa.Column("notification_id", _TEXT, nullable=False),
        sa.Column("device_id", _TEXT, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("route", _TEXT, nullable=False),
        sa.Column("provider", _TEXT, nullable=False),
        sa.Column("address", _TEXT, nullable=False),
        sa.Column("reason", _TEXT, nullable=False),
        sa.Column("detail", _TEXT, nullable=False),
        sa.Column("replayed_at", sa.BigInteger),
    )
    op.create_index("dead_letters_by_notification", "dead_letters", ["notification_id"])


def _create_guards() -> None:
    op.create_table(
        "deletion_guards",
        sa.Column("carrier", _TEXT, primary_key=True),
        sa.Column("worker", _TEXT, primary_key=True),
        sa.Column("closed_at", sa.BigInteger, nullable=False),
        sa.Column("seen_at", sa.BigInteger, nullable=False),
        sa.Column("kept", sa.BigInteger, nullable=False),
        sa.Column("is_trusted", sa.Boolean, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "suppressions",
        sa.Column("provider", _TEXT, primary_key=True),
        sa.Column("address", _TEXT, primary_key=True),
        sa.Column("reason", _TEXT, nullable=False),
        sa.Column("detail", _TEXT, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("user", _TEXT, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index("suppressions_by_user", "suppressions", ["user"])


def _create_events() -> None:
    op.create_table(
        "status_events",
        sa.Column("number", _NUMBER, primary_key=True, autoincrement=True),
        sa.Column("id", _TEXT, nullable=False),
        sa.Column("notification_id", _TEXT, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("due_at", sa.BigInteger),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("lease", _TEXT),
        sa.Column("body", sa.LargeBinary, nullable=False),
    )
    op.create_index("status_events_by_due", "status_events", ["due_at"])
    op.create_index("status_events_by_notification", "status_events", ["notification_id", "number"])
