"""The tables, the same on every database. What changes here changes by a migration; a test holds the two together.

`drafts` has what all notifications of one request share, `notifications` one row per user, `steps` the queue, `entries` the
timelines. Moments are microseconds since 1970 (`moments.py`).

A step is known by its notification and its device; the plan step has the empty device. The primary key thus finds all steps
of a notification, and holds that it has one plan. `due_at` is when a step may be claimed: a claim moves it to the end of the
lease, so that a lease that runs out and a step that falls due are one and the same condition, on one index. It is NULL while
a plan rests. `provider` (the carrier, such as `apns` or `apns:kiosk`; empty for a plan) and `expires_at` stand here so that a
claim need not look elsewhere to pass a row over.
"""

from typing import Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    Table,
    Text,
    text,
)

__all__ = ["DEVICES", "DRAFTS", "ENTRIES", "IDEMPOTENCY_KEYS", "METADATA", "NOTIFICATIONS", "PREFERENCES", "STEPS"]

METADATA: Final = MetaData()

# Compared by code point on every database: one order everywhere, and the cheapest comparison.
_TEXT: Final = Text().with_variant(Text(collation="C"), "postgresql")

DRAFTS: Final = Table(
    "drafts",
    METADATA,
    Column("id", _TEXT, primary_key=True),
    Column("lane", SmallInteger, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("body", LargeBinary, nullable=False),  # JSON of `rows.Body`
)

NOTIFICATIONS: Final = Table(
    "notifications",
    METADATA,
    Column("id", _TEXT, primary_key=True),
    Column("draft_id", _TEXT, ForeignKey("drafts.id"), nullable=False),
    Column("user", _TEXT, nullable=False),
    Column("state", _TEXT, nullable=False),
    # Where it lies in its user's inbox (`broker.confirmations.Place`); what was there before inboxes counts as read.
    Column("inbox", SmallInteger, nullable=False, server_default="3"),
    Index("notifications_by_user", "user", "inbox", "id"),
    Column("experiment", _TEXT, nullable=False, server_default=""),
    Column("variant", _TEXT, nullable=False, server_default=""),
    # Costs nothing for the others: only notifications of experiments are in it.
    Index(
        "notifications_by_experiment",
        "experiment",
        "variant",
        "id",  # they are counted piece by piece
        sqlite_where=text("experiment <> ''"),
        postgresql_where=text("experiment <> ''"),
    ),
    Index("notifications_by_draft", "draft_id"),  # retention asks what is left of a draft
    # The digest that tells it, which is its own for a digest; and the notification that is made of it if nobody sees it.
    Column("digest_id", _TEXT, nullable=False, server_default=""),
    Column("escalation_id", _TEXT, nullable=False, server_default=""),
    Index(
        "notifications_by_digest", "digest_id", sqlite_where=text("digest_id <> ''"), postgresql_where=text("digest_id <> ''")
    ),
    sqlite_with_rowid=False,
)

STEPS: Final = Table(
    "steps",
    METADATA,
    Column("notification_id", _TEXT, ForeignKey("notifications.id"), primary_key=True),
    Column("device_id", _TEXT, primary_key=True),
    Column("lane", SmallInteger, nullable=False),
    Column("due_at", BigInteger),
    Column("attempt", Integer, nullable=False),
    Column("provider", _TEXT, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("lease", _TEXT),
    Column("worker", _TEXT),
    Index("steps_by_due", "lane", "due_at"),
    # Whoever asks how far decisions are behind, or how much is on its way to some carriers, passes over nobody else's steps.
    # Without what is leased the first costs a claim half as much.
    Index(
        "steps_of_plans",
        "lane",
        "due_at",
        sqlite_where=text("provider = '' AND lease IS NULL"),
        postgresql_where=text("provider = '' AND lease IS NULL"),
    ),
    Index("steps_of_sends", "lane", "provider", sqlite_where=text("provider <> ''"), postgresql_where=text("provider <> ''")),
    sqlite_with_rowid=False,
)

ENTRIES: Final = Table(
    "entries",
    METADATA,
    Column("number", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("notification_id", _TEXT, ForeignKey("notifications.id"), nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("route", _TEXT, nullable=False),
    Column("outcome", _TEXT, nullable=False),
    Column("provider", _TEXT, nullable=False),
    Column("address", _TEXT, nullable=False),
    Column("device_id", _TEXT, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("detail", _TEXT, nullable=False),
    Index("entries_by_notification", "notification_id"),
)

IDEMPOTENCY_KEYS: Final = Table(
    "idempotency_keys",
    METADATA,
    Column("key", _TEXT, primary_key=True),
    Column("created_at", BigInteger, nullable=False),
    Column("fingerprint", LargeBinary, nullable=False),
    Column("answer", LargeBinary, nullable=False),  # JSON of the list of `Accepted`, without users
    Index("idempotency_keys_by_age", "created_at"),
)

DEVICES: Final = Table(
    "devices",
    METADATA,
    Column("id", _TEXT, primary_key=True),
    Column("user", _TEXT, nullable=False),
    Column("provider", _TEXT, nullable=False),
    Column("token_digest", LargeBinary, nullable=False),  # SHA-256: tokens are long, and PostgreSQL bounds what an index takes
    Column("token", _TEXT, nullable=False),
    Column("platform", _TEXT, nullable=False),
    Column("locale", _TEXT, nullable=False),
    Column("timezone", _TEXT, nullable=False),
    Column("registered_at", BigInteger, nullable=False),
    Column("app", _TEXT, nullable=False, server_default=""),
    Index("devices_by_address", "provider", "token_digest", unique=True),
    Index("devices_by_user", "user"),
)

PREFERENCES: Final = Table(
    "preferences",
    METADATA,
    Column("user", _TEXT, primary_key=True),
    Column("category", _TEXT, primary_key=True),
    Column("route", _TEXT, primary_key=True),
    Column("enabled", Boolean, nullable=False),
    Column("until", BigInteger),  # it does not count from then on; NULL: it counts for good
    sqlite_with_rowid=False,
)
