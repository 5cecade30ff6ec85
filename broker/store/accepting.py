"""Into the ledger: a draft becomes a notification for each of its users, each with a plan step due now."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, insert

from broker.notification import Accepted, Draft, State
from broker.store.idempotency import Key, take_key
from broker.store.keys import PLAN
from broker.store.moments import to_micros
from broker.store.rows import encode_body
from broker.store.schema import DRAFTS, NOTIFICATIONS, STEPS
from config.clock import Clock

__all__ = ["NewNotifications", "prepare", "store_new"]

_INSERT_DRAFT: Final = insert(DRAFTS)
_INSERT_NOTIFICATIONS: Final = insert(NOTIFICATIONS)
_INSERT_STEPS: Final = insert(STEPS)


class NewNotifications(msgspec.Struct, frozen=True):
    """Rows that are ready to be stored, and the answer that is given for them."""

    answer: tuple[Accepted, ...]
    draft: Mapping[str, Any]
    notifications: Sequence[Mapping[str, Any]]
    steps: Sequence[Mapping[str, Any]]


def prepare(draft: Draft, clock: Clock) -> NewNotifications:
    """Give ids and make the rows, before anything waits for the database."""
    now = clock.now()
    created_at, expires_at = to_micros(now), to_micros(now + timedelta(seconds=draft.ttl_s))
    lane, draft_id = int(draft.lane), str(clock.new_id())
    answer = tuple(Accepted(user, str(clock.new_id())) for user in draft.users)
    step = {
        "device_id": PLAN,
        "lane": lane,
        "due_at": created_at,
        "attempt": 0,
        "provider": "",
        "expires_at": expires_at,
    }
    return NewNotifications(
        answer,
        {"id": draft_id, "lane": lane, "created_at": created_at, "expires_at": expires_at, "body": encode_body(draft)},
        [{"id": one.id, "draft_id": draft_id, "user": one.user, "state": State.PENDING.value} for one in answer],
        [{"notification_id": one.id, **step} for one in answer],
    )


def store_new(connection: Connection, new: NewNotifications, key: Key | None) -> tuple[Accepted, ...]:
    """Store the rows, unless the key was seen before.

    Returns:
        The answer, which is the first one's where the key was seen.
    Raises:
        BadInput: The key was used with another fingerprint.
    """
    if key is not None and (first := take_key(connection, key, new.answer)) is not None:
        return first
    connection.execute(_INSERT_DRAFT, new.draft)
    connection.execute(_INSERT_NOTIFICATIONS, new.notifications)
    connection.execute(_INSERT_STEPS, new.steps)
    return new.answer
