"""Experiments are counted piece by piece: the index by which they are found goes by id too."""

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

_NAME = "notifications_by_experiment"
_OF_EXPERIMENTS = sa.text("experiment <> ''")


def upgrade() -> None:
    """Make it anew."""
    _replace("experiment", "variant", "id")


def downgrade() -> None:
    """Go back to the shorter one."""
    _replace("experiment", "variant")


def _replace(*columns: str) -> None:
    op.drop_index(_NAME, "notifications")
    op.create_index(_NAME, "notifications", list(columns), sqlite_where=_OF_EXPERIMENTS, postgresql_where=_OF_EXPERIMENTS)
