"""Decisions and deliveries each in an index of their own, so that a question about the one passes over none of the other."""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

_PLANS = sa.text("provider = '' AND lease IS NULL")
_SENDS = sa.text("provider <> ''")


def upgrade() -> None:
    """Make the indexes."""
    op.create_index("steps_of_plans", "steps", ["lane", "due_at"], sqlite_where=_PLANS, postgresql_where=_PLANS)
    op.create_index("steps_of_sends", "steps", ["lane", "provider"], sqlite_where=_SENDS, postgresql_where=_SENDS)


def downgrade() -> None:
    """Drop them."""
    op.drop_index("steps_of_sends", "steps")
    op.drop_index("steps_of_plans", "steps")
