"""Notifications that are called off, and how one stands. What users end by marks stands in `marking.py`."""

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import BindParameter, Connection, bindparam, delete, select, update

from broker.confirmations import Mark, Marked, Place
from broker.errors import NotFound
from broker.notification import Entry, NotificationStatus, Outcome, State
from broker.store.bulk import execute_rows, insert_rows
from broker.store.companions import call_off
from broker.store.digests import call_members_off
from broker.store.marks_table import MARKS
from broker.store.moments import from_micros
from broker.store.rows import ENTRY_COLUMNS, decode_draft, entry_from, entry_row, notification_from
from broker.store.schema import DRAFTS, ENTRIES, NOTIFICATIONS, STEPS
from broker.store.status_outbox import StatusOutbox

__all__ = ["cancel", "read_status"]

_N: Final = NOTIFICATIONS.c
_ID: Final[BindParameter[str]] = bindparam("notification_id")

# Before the notification, as a record does: both wait for whoever has its steps, and then see what he did.
_HOLD_STEPS: Final = (
    select(STEPS.c.device_id).where(STEPS.c.notification_id == _ID).order_by(STEPS.c.device_id).with_for_update()
)
_STANDING: Final = select(_N.user, _N.state, _N.digest_id, _N.escalation_id).where(_N.id == _ID).with_for_update(key_share=True)
# What was called off has no place in an inbox any more.
_CANCEL: Final = (
    update(NOTIFICATIONS)
    .where(_N.id == bindparam("of_notification"))
    .values(state=State.CANCELLED.value, inbox=int(Place.LEFT_OUT))
)
_REMOVE_STEPS: Final = delete(STEPS).where(STEPS.c.notification_id == _ID)
_WRITE: Final = insert_rows(ENTRIES, *ENTRY_COLUMNS)
_STATUS: Final = (
    select(_N.id.label("notification_id"), _N.user, _N.state, _N.experiment, _N.variant, _N.digest_id, DRAFTS)
    .join_from(NOTIFICATIONS, DRAFTS, DRAFTS.c.id == _N.draft_id)
    .where(_N.id == _ID)
)
_ENTRIES: Final = select(ENTRIES).where(ENTRIES.c.notification_id == _ID).order_by(ENTRIES.c.at, ENTRIES.c.number)
_MARKS: Final = select(MARKS.c.mark, MARKS.c.at).where(MARKS.c.notification_id == _ID).order_by(MARKS.c.at, MARKS.c.mark)


def cancel(connection: Connection, notification_id: str, now: int, outbox: StatusOutbox) -> tuple[State, tuple[str, ...]]:
    """End a pending notification; tell the state after, and the ids of those that ended with it.

    Raises:
        NotFound: No such notification.
    """
    named: dict[str, Any] = {"notification_id": notification_id}
    connection.execute(_HOLD_STEPS, named)
    row = connection.execute(_STANDING, named).one_or_none()
    if row is None:
        raise NotFound("notification")
    if row.state != State.PENDING.value:
        return State(row.state), ()
    connection.execute(_CANCEL, {"of_notification": notification_id})
    connection.execute(_REMOVE_STEPS, named)
    execute_rows(connection, _WRITE, [entry_row(notification_id, Entry("", Outcome.CANCELLED, from_micros(now)))])
    outbox.ended(connection, [notification_id], row.user, State.CANCELLED, now)
    escalations = [row.escalation_id] if row.escalation_id else []
    beside = call_off(connection, escalations, now, outbox, "it was called off")
    if row.digest_id == notification_id:
        call_members_off(connection, row.user, notification_id, now, outbox)
    return State.CANCELLED, beside


def read_status(connection: Connection, notification_id: str) -> NotificationStatus:
    """Read a notification and its timeline.

    Raises:
        NotFound: No such notification.
    """
    row = connection.execute(_STATUS, {"notification_id": notification_id}).one_or_none()
    if row is None:
        raise NotFound("notification")
    draft = decode_draft(row)
    notification = notification_from(row.notification_id, row.user, row.state, draft, row.experiment, row.variant)
    entries = tuple(entry_from(entry) for entry in connection.execute(_ENTRIES, {"notification_id": notification_id}))
    marks = connection.execute(_MARKS, {"notification_id": notification_id})
    return NotificationStatus(
        notification,
        entries,
        tuple(Marked(Mark(row.mark), from_micros(row.at)) for row in marks),
        row.digest_id if row.digest_id != notification_id and _was_digested(entries) else "",
    )


def _was_digested(entries: Sequence[Entry]) -> bool:
    """Whether a digest has told it; one that was seen before it closed has not."""
    return any(entry.outcome is Outcome.DIGESTED for entry in entries)
