"""Into the ledger: a draft becomes a notification for each of its users, each with a plan step due now."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, insert

from broker.confirmations import Place
from broker.experiments import assign
from broker.notification import Accepted, Draft, State
from broker.store.bulk import execute_rows, insert_rows
from broker.store.idempotency import Key, take_key
from broker.store.keys import PLAN
from broker.store.moments import to_micros
from broker.store.rows import encode_body
from broker.store.schema import DRAFTS, NOTIFICATIONS, STEPS
from config.clock import Clock

__all__ = ["NewNotifications", "prepare", "store_new"]

_INSERT_DRAFT: Final = insert(DRAFTS)
_INSERT_NOTIFICATIONS: Final = insert_rows(
    NOTIFICATIONS,
    NOTIFICATIONS.c.id,
    NOTIFICATIONS.c.user,
    same=(NOTIFICATIONS.c.draft_id, NOTIFICATIONS.c.state, NOTIFICATIONS.c.inbox),
)
_INSERT_VARIANTS: Final = insert_rows(
    NOTIFICATIONS,
    NOTIFICATIONS.c.id,
    NOTIFICATIONS.c.user,
    NOTIFICATIONS.c.variant,
    same=(NOTIFICATIONS.c.draft_id, NOTIFICATIONS.c.state, NOTIFICATIONS.c.inbox, NOTIFICATIONS.c.experiment),
)
_INSERT_PLANS: Final = insert_rows(
    STEPS,
    STEPS.c.notification_id,
    same=(STEPS.c.device_id, STEPS.c.lane, STEPS.c.due_at, STEPS.c.attempt, STEPS.c.provider, STEPS.c.expires_at),
)


class NewNotifications(msgspec.Struct, frozen=True):
    """What is ready to be stored, and the answer that is given for it."""

    answer: tuple[Accepted, ...]
    draft: Mapping[str, Any]
    place: Place
    experiment: str = ""
    variants: tuple[str, ...] = ()


def prepare(draft: Draft, clock: Clock) -> NewNotifications:
    """Give ids and encode, before anything waits for the database."""
    now = clock.now()
    row = {
        "id": str(clock.new_id()),
        "lane": int(draft.lane),
        "created_at": to_micros(now),
        "expires_at": to_micros(now + timedelta(seconds=draft.ttl_s)),
        "body": encode_body(draft),
    }
    answer = tuple(Accepted(user, str(clock.new_id())) for user in draft.users)
    variants = tuple(assign(draft.experiment, user, draft.variants).name for user in draft.users) if draft.variants else ()
    place = Place.UNSEEN if draft.inbox else Place.LEFT_OUT
    return NewNotifications(answer, row, place, draft.experiment, variants)


def store_new(connection: Connection, new: NewNotifications, key: Key | None) -> tuple[Accepted, ...]:
    """Store a draft and its notifications, unless the key was seen before.

    Returns:
        The answer, which is the first one's where the key was seen.
    Raises:
        BadInput: The key was used with another fingerprint.
    """
    if key is not None and (first := take_key(connection, key, new.answer)) is not None:
        return first
    draft = new.draft
    connection.execute(_INSERT_DRAFT, draft)
    same = {"same_draft_id": draft["id"], "same_state": State.PENDING.value, "same_inbox": int(new.place)}
    if new.variants:
        rows = [(one.id, one.user, variant) for one, variant in zip(new.answer, new.variants, strict=True)]
        execute_rows(connection, _INSERT_VARIANTS, rows, **same, same_experiment=new.experiment)
    else:
        execute_rows(connection, _INSERT_NOTIFICATIONS, [(one.id, one.user) for one in new.answer], **same)
    execute_rows(
        connection,
        _INSERT_PLANS,
        [(one.id,) for one in new.answer],
        same_device_id=PLAN,
        same_lane=draft["lane"],
        same_due_at=draft["created_at"],
        same_attempt=0,
        same_provider="",
        same_expires_at=draft["expires_at"],
    )
    return new.answer
