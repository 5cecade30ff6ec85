"""Templates of texts, and the variant of an experiment that a notification got."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
_IN_EXPERIMENT = sa.text("experiment <> ''")


def upgrade() -> None:
    """Create the table, add the columns; older notifications were in no experiment."""
    op.create_table(
        "templates",
        sa.Column("name", _TEXT, primary_key=True),
        sa.Column("locale", _TEXT, primary_key=True),
        sa.Column("route", _TEXT, primary_key=True),
        sa.Column("version", sa.Integer, primary_key=True),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("text", sa.LargeBinary),
        sqlite_with_rowid=False,
    )
    op.create_index("templates_by_version", "templates", ["name", "version"])
    op.add_column("notifications", sa.Column("experiment", _TEXT, nullable=False, server_default=""))
    op.add_column("notifications", sa.Column("variant", _TEXT, nullable=False, server_default=""))
    op.create_index(
        "notifications_by_experiment",
        "notifications",
        ["experiment", "variant"],
        sqlite_where=_IN_EXPERIMENT,
        postgresql_where=_IN_EXPERIMENT,
    )


def downgrade() -> None:
    """Drop them."""
    op.drop_index("notifications_by_experiment", "notifications")
    with op.batch_alter_table("notifications") as notifications:
        notifications.drop_column("variant")
        notifications.drop_column("experiment")
    op.drop_table("templates")
