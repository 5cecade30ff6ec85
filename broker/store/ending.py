"""Notifications that somebody ends, and how one stands."""

from typing import Any, Final

from sqlalchemy import BindParameter, Connection, bindparam, delete, select, update

from broker.errors import NotFound
from broker.notification import Entry, NotificationStatus, Outcome, State
from broker.store.bulk import execute_rows, insert_rows
from broker.store.moments import from_micros
from broker.store.rows import ENTRY_COLUMNS, decode_draft, entry_from, entry_row, notification_from
from broker.store.schema import DRAFTS, ENTRIES, NOTIFICATIONS, STEPS

__all__ = ["acknowledge", "cancel", "read_status"]

_N: Final = NOTIFICATIONS.c
_ID: Final[BindParameter[str]] = bindparam("notification_id")

# Before the notification, as a record does: both wait for whoever has its steps, and then see what he did.
_HOLD_STEPS: Final = (
    select(STEPS.c.device_id).where(STEPS.c.notification_id == _ID).order_by(STEPS.c.device_id).with_for_update()
)
_STANDING: Final = select(_N.user, _N.state).where(_N.id == _ID).with_for_update(key_share=True)
_END: Final = update(NOTIFICATIONS).where(_N.id == bindparam("of_notification")).values(state=bindparam("new_state"))
_REMOVE_STEPS: Final = delete(STEPS).where(STEPS.c.notification_id == _ID)
_WRITE: Final = insert_rows(ENTRIES, *ENTRY_COLUMNS)
_STATUS: Final = (
    select(_N.id.label("notification_id"), _N.user, _N.state, _N.experiment, _N.variant, DRAFTS)
    .join_from(NOTIFICATIONS, DRAFTS, DRAFTS.c.id == _N.draft_id)
    .where(_N.id == _ID)
)
_ENTRIES: Final = select(ENTRIES).where(ENTRIES.c.notification_id == _ID).order_by(ENTRIES.c.at, ENTRIES.c.number)


def acknowledge(connection: Connection, notification_id: str, user: str, now: int) -> State:
    """Record that the user saw it; tell the state after.

    Raises:
        NotFound: No such notification, or another user's.
    """
    state = _standing(connection, notification_id, user)
    if not state.accepts_ack:
        return state
    _end(connection, notification_id, State.ACKNOWLEDGED, Outcome.ACKNOWLEDGED, now)
    return State.ACKNOWLEDGED


def cancel(connection: Connection, notification_id: str, now: int) -> State:
    """End a pending notification; tell the state after.

    Raises:
        NotFound: No such notification.
    """
    state = _standing(connection, notification_id, None)
    if state is not State.PENDING:
        return state
    _end(connection, notification_id, State.CANCELLED, Outcome.CANCELLED, now)
    return State.CANCELLED


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
    entries = connection.execute(_ENTRIES, {"notification_id": notification_id})
    return NotificationStatus(notification, tuple(entry_from(entry) for entry in entries))


def _standing(connection: Connection, notification_id: str, user: str | None) -> State:
    named: dict[str, Any] = {"notification_id": notification_id}
    connection.execute(_HOLD_STEPS, named)
    row = connection.execute(_STANDING, named).one_or_none()
    if row is None or (user is not None and row.user != user):
        raise NotFound("notification")
    return State(row.state)


def _end(connection: Connection, notification_id: str, state: State, outcome: Outcome, now: int) -> None:
    connection.execute(_END, {"of_notification": notification_id, "new_state": state.value})
    connection.execute(_REMOVE_STEPS, {"notification_id": notification_id})
    # No route: who acknowledges says that the user saw it, not where.
    execute_rows(connection, _WRITE, [entry_row(notification_id, Entry("", outcome, from_micros(now)))])
