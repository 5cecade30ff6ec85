"""The first tables: notifications with their queue and timelines, devices, preferences."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Create the tables."""
    _create_notifications()
    _create_queue()
    _create_users()


def downgrade() -> None:
    """Drop them."""
    for table in ("preferences", "devices", "idempotency_keys", "entries", "steps", "notifications", "drafts"):
        op.drop_table(table)


def _create_notifications() -> None:
    op.create_table(
        "drafts",
        sa.Column("id", _TEXT, primary_key=True),
        sa.Column("lane", sa.SmallInteger, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("expires_at", sa.BigInteger, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "notifications",
        sa.Column("id", _TEXT, primary_key=True),
        sa.Column("draft_id", _TEXT, sa.ForeignKey("drafts.id"), nullable=False),
        sa.Column("user", _TEXT, nullable=False),
        sa.Column("state", _TEXT, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "idempotency_keys",
        sa.Column("key", _TEXT, primary_key=True),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("fingerprint", sa.LargeBinary, nullable=False),
        sa.Column("answer", sa.LargeBinary, nullable=False),
    )
    op.create_index("idempotency_keys_by_age", "idempotency_keys", ["created_at"])


def _create_queue() -> None:
    op.create_table(
        "steps",
        sa.Column("notification_id", _TEXT, sa.ForeignKey("notifications.id"), primary_key=True),
        sa.Column("device_id", _TEXT, primary_key=True),
        sa.Column("lane", sa.SmallInteger, nullable=False),
        sa.Column("due_at", sa.BigInteger),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("provider", _TEXT, nullable=False),
        sa.Column("expires_at", sa.BigInteger, nullable=False),
        sa.Column("lease", _TEXT),
        sa.Column("worker", _TEXT),
        sqlite_with_rowid=False,
    )
    op.create_index("steps_by_due", "steps", ["lane", "due_at"])
    op.create_table(
        "entries",
        sa.Column("number", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True),
        sa.Column("notification_id", _TEXT, sa.ForeignKey("notifications.id"), nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("route", _TEXT, nullable=False),
        sa.Column("outcome", _TEXT, nullable=False),
        sa.Column("provider", _TEXT, nullable=False),
        sa.Column("address", _TEXT, nullable=False),
        sa.Column("device_id", _TEXT, nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("detail", _TEXT, nullable=False),
    )
    op.create_index("entries_by_notification", "entries", ["notification_id"])


def _create_users() -> None:
    op.create_table(
        "devices",
        sa.Column("id", _TEXT, primary_key=True),
        sa.Column("user", _TEXT, nullable=False),
        sa.Column("provider", _TEXT, nullable=False),
        sa.Column("token_digest", sa.LargeBinary, nullable=False),
        sa.Column("token", _TEXT, nullable=False),
        sa.Column("platform", _TEXT, nullable=False),
        sa.Column("locale", _TEXT, nullable=False),
        sa.Column("timezone", _TEXT, nullable=False),
        sa.Column("registered_at", sa.BigInteger, nullable=False),
    )
    op.create_index("devices_by_address", "devices", ["provider", "token_digest"], unique=True)
    op.create_index("devices_by_user", "devices", ["user"])
    op.create_table(
        "preferences",
        sa.Column("user", _TEXT, primary_key=True),
        sa.Column("category", _TEXT, primary_key=True),
        sa.Column("route", _TEXT, primary_key=True),
        sa.Column("enabled", sa.Boolean, nullable=False),
        sqlite_with_rowid=False,
    )
