"""Devices that were set aside, and the switch of the status webhook."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

_TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Create the tables; what was removed before is gone, and a webhook that fails begins to be counted."""
    texts = ("user", "provider", "token", "platform", "locale", "timezone", "app", "because")
    op.create_table(
        "removed_devices",
        sa.Column("id", _TEXT, primary_key=True),
        *(sa.Column(name, _TEXT, nullable=False) for name in texts),
        sa.Column("token_digest", sa.LargeBinary, nullable=False),
        sa.Column("registered_at", sa.BigInteger, nullable=False),
        sa.Column("removed_at", sa.BigInteger, nullable=False),
    )
    op.create_index("removed_devices_by_address", "removed_devices", ["provider", "token_digest"])
    op.create_index("removed_devices_by_user", "removed_devices", ["user"])
    op.create_index("removed_devices_by_time", "removed_devices", ["removed_at", "id"])
    op.create_table(
        "webhook_switch",
        sa.Column("name", _TEXT, primary_key=True),
        sa.Column("fingerprint", _TEXT, nullable=False),
        sa.Column("failing_since", sa.BigInteger),
        sa.Column("failed_at", sa.BigInteger),
        sa.Column("disabled_at", sa.BigInteger),
        sa.Column("cause", _TEXT, nullable=False),
        sqlite_with_rowid=False,
    )


def downgrade() -> None:
    """Drop them."""
    op.drop_table("webhook_switch")
    op.drop_table("removed_devices")
