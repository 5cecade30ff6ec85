"""Topics and their subscribers; campaigns, their pages and counts; notifications for single devices."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
_NUMBER = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """Create the tables."""
    _create_topics()
    _create_campaigns()
    _create_pages()
    op.create_table(
        "notification_targets",
        sa.Column("notification_id", _TEXT, sa.ForeignKey("notifications.id"), primary_key=True),
        sa.Column("device_id", _TEXT, primary_key=True),
        sqlite_with_rowid=False,
    )


def downgrade() -> None:
    """Drop them."""
    for table in (
        "notification_targets",
        "campaign_counts",
        "campaign_pages",
        "campaigns",
        "topic_subscribers",
        "topics",
    ):
        op.drop_table(table)


def _create_topics() -> None:
    op.create_table(
        "topics",
        sa.Column("number", _NUMBER, primary_key=True, autoincrement=True),
        sa.Column("name", _TEXT),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("topics_by_name", "topics", ["name"], unique=True)
    op.create_table(
        "topic_subscribers",
        sa.Column("topic", sa.BigInteger, primary_key=True),
        sa.Column("user", _TEXT, primary_key=True),
        sa.Column("device_id", _TEXT, primary_key=True),
        sa.Column("subscribed_at", sa.BigInteger, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index("topic_subscribers_by_user", "topic_subscribers", ["user", "topic"])


def _create_campaigns() -> None:
    op.create_table(
        "campaigns",
        sa.Column("id", _TEXT, primary_key=True),
        sa.Column("name", _TEXT, nullable=False),
        sa.Column("state", _TEXT, nullable=False),
        sa.Column("lane", sa.SmallInteger, nullable=False),
        sa.Column("rate_per_s", sa.Float(53), nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("starts_at", sa.BigInteger, nullable=False),
        sa.Column("begun_at", sa.BigInteger),
        sa.Column("finished_at", sa.BigInteger),
        sa.Column("due_at", sa.BigInteger),
        sa.Column("place", _TEXT, nullable=False),
        sa.Column("calling_off", _TEXT),
        sa.Column("size", sa.BigInteger),
        sa.Column("expanded", sa.BigInteger, nullable=False),
        sa.Column("skipped", sa.BigInteger, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sqlite_with_rowid=False,
    )
    _create_partial_index("campaigns_by_due", "campaigns", ["lane", "due_at"], "due_at IS NOT NULL")
    _create_partial_index("campaigns_called_off", "campaigns", ["id"], "calling_off IS NOT NULL")
    op.create_index("campaigns_by_end", "campaigns", ["finished_at"])


def _create_pages() -> None:
    op.create_table(
        "campaign_pages",
        sa.Column("campaign_id", _TEXT, sa.ForeignKey("campaigns.id"), primary_key=True),
        sa.Column("draft_id", _TEXT, primary_key=True),
        sa.Column("told_at", sa.BigInteger, nullable=False),
        sa.Column("users", sa.Integer, nullable=False),
        sa.Column("counts", sa.LargeBinary, nullable=False),
        sa.Column("tally_at", sa.BigInteger),
        sqlite_with_rowid=False,
    )
    _create_partial_index("campaign_pages_by_tally", "campaign_pages", ["tally_at"], "tally_at IS NOT NULL")
    op.create_table(
        "campaign_counts",
        sa.Column("campaign_id", _TEXT, sa.ForeignKey("campaigns.id"), primary_key=True),
        sa.Column("state", _TEXT, primary_key=True),
        sa.Column("total", sa.BigInteger, nullable=False),
        sqlite_with_rowid=False,
    )


def _create_partial_index(name: str, table: str, columns: list[str], where: str) -> None:
    op.create_index(name, table, columns, sqlite_where=sa.text(where), postgresql_where=sa.text(where))
