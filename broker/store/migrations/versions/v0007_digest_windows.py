"""Digests whose window begins anew with each one that joins."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column; older digests close when their first one said."""
    op.add_column("digests", sa.Column("closes_by", sa.BigInteger))


def downgrade() -> None:
    """Drop it."""
    with op.batch_alter_table("digests") as digests:
        digests.drop_column("closes_by")
