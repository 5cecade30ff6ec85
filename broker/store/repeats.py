"""What repeats: the same content for the same user within a window, and newer notifications of a collapse key.

Both hold their row per user until the transaction has ended, so that of twins one is the first.
"""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec
from sqlalchemy import Connection, bindparam, select

from broker.notification import Accepted, Draft, State
from broker.store.companions import call_off
from broker.store.dialect import Among, TextList, upsert
from broker.store.repeat_tables import NEWEST_OF_KEYS, RECENT_CONTENTS
from broker.store.schema import NOTIFICATIONS
from broker.store.status_outbox import StatusOutbox

__all__ = ["Repeats", "repeats_of", "seen_before", "supersede"]

_R: Final = RECENT_CONTENTS.c
_K: Final = NEWEST_OF_KEYS.c
_N: Final = NOTIFICATIONS.c
_AMONG: Final = bindparam("among", type_=TextList())

_FIRST: Final = select(_R.user, _R.notification_id).where(Among(_R.user, _AMONG), _R.content == bindparam("of_content"))
_OLDER: Final = select(_K.user, _K.notification_id).where(Among(_K.user, _AMONG), _K.key == bindparam("of_key"))
_ESCALATIONS: Final = (
    select(_N.escalation_id)
    .where(Among(_N.id, _AMONG), _N.state == State.PENDING.value, _N.escalation_id != "")
    .order_by(_N.escalation_id)
)


class Repeats(msgspec.Struct, frozen=True):
    """What a request says about repeats; `window_us` of 0 and an empty `collapse_key` say nothing."""

    content: str
    window_us: int
    collapse_key: str


def repeats_of(draft: Draft) -> Repeats | None:
    """Read what a draft says; None where it is told however often."""
    key = draft.content.collapse_key if draft.supersedes else ""
    if not draft.dedup_window_s and not key:
        return None
    content = draft.content
    told = (content.title, content.body, content.data, content.template, draft.variants)
    text = msgspec.json.encode((content.category, content.collapse_key, *told))
    return Repeats(hashlib.sha256(text).hexdigest(), int(draft.dedup_window_s * 1_000_000), key)


def seen_before(connection: Connection, repeats: Repeats, meant: Sequence[Accepted], now: int) -> Mapping[str, str]:
    """Remember what users are told now, and find out who was told the same within the window; by user, which one that was."""
    insert = upsert(connection, RECENT_CONTENTS)
    insert = insert.on_conflict_do_update(
        index_elements=[_R.user, _R.content],
        set_={"notification_id": insert.excluded.notification_id, "at": insert.excluded.at},
        where=_R.at <= now - repeats.window_us,
    )
    rows = [{"user": one.user, "content": repeats.content, "notification_id": one.id, "at": now} for one in _sorted(meant)]
    connection.execute(insert, rows)
    own = {one.user: one.id for one in meant}
    found = connection.execute(_FIRST, {"among": list(own), "of_content": repeats.content})
    return {row.user: row.notification_id for row in found if row.notification_id != own[row.user]}


def supersede(
    connection: Connection, repeats: Repeats, told: Sequence[Accepted], now: int, outbox: StatusOutbox
) -> Sequence[str]:
    """Make these the newest of their key, and end what is pending of older ones; tell which these were."""
    insert = upsert(connection, NEWEST_OF_KEYS)
    hold = insert.on_conflict_do_update(index_elements=[_K.user, _K.key], set_={"key": insert.excluded.key})
    rows = [{"user": one.user, "key": repeats.collapse_key, "notification_id": one.id} for one in _sorted(told)]
    connection.execute(hold, rows)
    own = {one.user: one.id for one in told}
    found = connection.execute(_OLDER, {"among": list(own), "of_key": repeats.collapse_key}).all()
    older = sorted(row.notification_id for row in found if row.notification_id != own[row.user])
    if not older:
        return ()
    replace = insert.on_conflict_do_update(
        index_elements=[_K.user, _K.key], set_={"notification_id": insert.excluded.notification_id}
    )
    connection.execute(replace, rows)
    escalations = list(connection.execute(_ESCALATIONS, {"among": older}).scalars())
    ended = call_off(connection, older, now, outbox, "a newer one took its place")
    beside = call_off(connection, escalations, now, outbox, "a newer one took the place of what it tells of")
    return (*ended, *beside)


def _sorted(accepted: Sequence[Accepted]) -> Sequence[Accepted]:
    # In one order, so that two requests for the same users never wait for each other.
    return sorted(accepted, key=lambda one: one.user)
