"""What was picked of experiments."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

_TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
_UNDECIDED = sa.text("variant = ''")


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "experiment_picks",
        sa.Column("experiment", _TEXT, primary_key=True),
        sa.Column("variant", _TEXT, nullable=False),
        sa.Column("after", sa.Integer, nullable=False),
        sa.Column("confidence", sa.Float, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index(
        "experiment_picks_undecided",
        "experiment_picks",
        ["experiment"],
        sqlite_where=_UNDECIDED,
        postgresql_where=_UNDECIDED,
    )


def downgrade() -> None:
    """Drop it."""
    op.drop_table("experiment_picks")
