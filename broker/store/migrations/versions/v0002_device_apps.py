"""Devices name the app of their provider."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Add the column; older devices belong to the provider's own app."""
    op.add_column("devices", sa.Column("app", _TEXT, nullable=False, server_default=""))


def downgrade() -> None:
    """Drop it."""
    with op.batch_alter_table("devices") as devices:
        devices.drop_column("app")
