"""Statistics by the hour; and which links of which mail were clicked."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

_TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Add the tables; the hours of notifications that are there are counted by and by."""
    op.create_table(
        "statistics_hours",
        sa.Column("scope", sa.SmallInteger, primary_key=True, autoincrement=False),
        sa.Column("hour", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("category", _TEXT, primary_key=True),
        sa.Column("lane", sa.SmallInteger, primary_key=True, autoincrement=False),
        sa.Column("experiment", _TEXT, primary_key=True),
        sa.Column("variant", _TEXT, primary_key=True),
        sa.Column("route", _TEXT, primary_key=True),
        sa.Column("provider", _TEXT, primary_key=True),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "counted_hours",
        sa.Column("hour", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("counted_at", sa.BigInteger),
        sa.Column("due_at", sa.BigInteger),
        sa.Column("accepted", sa.BigInteger, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index("counted_hours_by_due", "counted_hours", ["due_at"])
    op.create_table(
        "clicked_links",
        sa.Column("notification_id", _TEXT, sa.ForeignKey("notifications.id"), primary_key=True),
        sa.Column("link", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("target", _TEXT, nullable=False),
        sa.Column("first_at", sa.BigInteger, nullable=False),
        sa.Column("clicks", sa.BigInteger, nullable=False),
        sqlite_with_rowid=False,
    )


def downgrade() -> None:
    """Drop them."""
    for table in ("clicked_links", "counted_hours", "statistics_hours"):
        op.drop_table(table)
