"""The tables of campaigns: their rows, the pages that were told, what became of these, and notifications for single devices."""

from typing import Final

from sqlalchemy import BigInteger, Column, Float, ForeignKey, Index, Integer, LargeBinary, SmallInteger, Table, Text, text

from broker.store.schema import METADATA

__all__ = ["CAMPAIGNS", "COUNTS", "PAGES", "TARGETS"]

_TEXT: Final = Text().with_variant(Text(collation="C"), "postgresql")

# `due_at` is when the next page may be told, NULL while none is to be. `place` is the last user that was told. `calling_off` is
# the last draft that was called off, NULL where nothing is to be.
CAMPAIGNS: Final = Table(
    "campaigns",
    METADATA,
    Column("id", _TEXT, primary_key=True),
    Column("name", _TEXT, nullable=False),
    Column("state", _TEXT, nullable=False),
    Column("lane", SmallInteger, nullable=False),
    Column("rate_per_s", Float(53), nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("starts_at", BigInteger, nullable=False),
    Column("begun_at", BigInteger),
    Column("finished_at", BigInteger),
    Column("due_at", BigInteger),
    Column("place", _TEXT, nullable=False),
    Column("calling_off", _TEXT),
    Column("size", BigInteger),
    Column("expanded", BigInteger, nullable=False),
    Column("skipped", BigInteger, nullable=False),
    Column("body", LargeBinary, nullable=False),  # JSON of `campaign_rows.Body`
    Index(
        "campaigns_by_due",
        "lane",
        "due_at",
        sqlite_where=text("due_at IS NOT NULL"),
        postgresql_where=text("due_at IS NOT NULL"),
    ),
    Index(
        "campaigns_called_off",
        "id",
        sqlite_where=text("calling_off IS NOT NULL"),
        postgresql_where=text("calling_off IS NOT NULL"),
    ),
    Index("campaigns_by_end", "finished_at"),
    sqlite_with_rowid=False,
)

# A page is known by the draft that its notifications share. `counts` says how these stood when they were looked at last, and
# `tally_at` when that is to be done again; NULL: never.
PAGES: Final = Table(
    "campaign_pages",
    METADATA,
    Column("campaign_id", _TEXT, ForeignKey("campaigns.id"), primary_key=True),
    Column("draft_id", _TEXT, primary_key=True),
    Column("told_at", BigInteger, nullable=False),
    Column("users", Integer, nullable=False),
    Column("counts", LargeBinary, nullable=False),  # JSON of numbers by state
    Column("tally_at", BigInteger),
    Index(
        "campaign_pages_by_tally",
        "tally_at",
        sqlite_where=text("tally_at IS NOT NULL"),
        postgresql_where=text("tally_at IS NOT NULL"),
    ),
    sqlite_with_rowid=False,
)

# The sums of the pages' counts.
COUNTS: Final = Table(
    "campaign_counts",
    METADATA,
    Column("campaign_id", _TEXT, ForeignKey("campaigns.id"), primary_key=True),
    Column("state", _TEXT, primary_key=True),
    Column("total", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

# The devices that a notification goes to, where its terms say that it goes to these alone.
TARGETS: Final = Table(
    "notification_targets",
    METADATA,
    Column("notification_id", _TEXT, ForeignKey("notifications.id"), primary_key=True),
    Column("device_id", _TEXT, primary_key=True),
    sqlite_with_rowid=False,
)
