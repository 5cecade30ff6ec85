"""Notifications that are made beside those that were asked for: digests, and escalations that wait for nobody to see.

Each has a draft of its own, since what it tells or when differs from the others.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, bindparam, delete, insert, select, update

from broker.confirmations import Place
from broker.notification import Accepted, Content, Draft, Entry, Escalation, Outcome, State, Terms
from broker.store.bulk import execute_rows, insert_rows
from broker.store.dialect import Among, TextList
from broker.store.keys import PLAN
from broker.store.moments import from_micros, to_micros
from broker.store.rows import ENTRY_COLUMNS, encode_body, entry_row
from broker.store.schema import DRAFTS, ENTRIES, NOTIFICATIONS, STEPS
from broker.store.status_outbox import StatusOutbox
from config.clock import Clock
from config.tracing import linked

__all__ = ["LONGEST_DAY", "Companion", "call_off", "digests_for", "escalations_for", "store_companions"]

# Within this every clock on earth has shown every time of day, also where it was put forward meanwhile.
LONGEST_DAY: Final = timedelta(hours=25)

_N: Final = NOTIFICATIONS.c
_S: Final = STEPS.c
_IDS: Final = bindparam("among", type_=TextList())

_INSERT_DRAFTS: Final = insert(DRAFTS)
_INSERT: Final = insert_rows(NOTIFICATIONS, _N.id, _N.draft_id, _N.user, _N.digest_id, same=(_N.state, _N.inbox))
_INSERT_PLANS: Final = insert_rows(
    STEPS, _S.notification_id, _S.lane, _S.due_at, _S.expires_at, same=(_S.device_id, _S.attempt, _S.provider)
)
# Steps before notifications, as all who take both.
_HOLD_STEPS: Final = (
    select(_S.device_id).where(Among(_S.notification_id, _IDS)).order_by(_S.notification_id, _S.device_id).with_for_update()
)
_CALL_OFF: Final = (
    update(NOTIFICATIONS)
    .where(Among(_N.id, _IDS), _N.state == State.PENDING.value)
    .values(state=State.CANCELLED.value, inbox=int(Place.LEFT_OUT))
    .returning(_N.id, _N.user)
)
_REMOVE_STEPS: Final = delete(STEPS).where(Among(_S.notification_id, _IDS))
_WRITE: Final = insert_rows(ENTRIES, *ENTRY_COLUMNS)


class Companion(msgspec.Struct, frozen=True):
    """A notification with its draft, as rows; for a digest `digest_id` is its own, and `closes_by` as in its table."""

    id: str
    user: str
    draft: Mapping[str, Any]
    due_at: int
    digest_id: str = ""
    closes_by: int | None = None


def digests_for(draft: Draft, told: Sequence[Accepted], now: datetime, clock: Clock) -> Sequence[Companion]:
    """Make a digest for each whose notification is to be collected, in case that none takes in yet; ordered by user."""
    digest = draft.digest
    if digest is None:
        return ()
    closes_at = now + timedelta(seconds=digest.window_s)
    # Which moment a time of day is depends on the user, whom only the decision knows: it is asked at once.
    send_at = None if digest.at else closes_at
    terms = Terms(routing=draft.terms.routing, send_at=send_at, collects=digest.title, collects_until=digest.at)
    content = Content(category=draft.content.category, collapse_key=draft.content.collapse_key, template=digest.template)
    trace = linked(draft.trace)
    shared = msgspec.structs.replace(draft, content=content, terms=terms, variants=(), experiment="", trace=trace)
    lives_from = now + max(LONGEST_DAY if digest.at else closes_at - now, timedelta(seconds=digest.longest_s))
    closes_by = to_micros(now + timedelta(seconds=digest.longest_s)) if digest.longest_s else None
    due_at = to_micros(now if digest.at else closes_at)
    made = []
    for user in sorted(one.user for one in told):
        digest_id = str(clock.new_id())
        made.append(Companion(digest_id, user, _draft_row(shared, lives_from, now, clock), due_at, digest_id, closes_by))
    return made


def escalations_for(draft: Draft, told: Sequence[Accepted], now: datetime, due: datetime, clock: Clock) -> Sequence[Companion]:
    """Make the escalation of each of these notifications, in their order; due when nobody has seen it by then."""
    if draft.escalation is None:
        return ()
    return [_escalation(draft, draft.escalation, one, now, due, clock) for one in told]


def _escalation(
    draft: Draft, escalation: Escalation, escalates: Accepted, now: datetime, due: datetime, clock: Clock
) -> Companion:
    """Make one; that to an address stays the user's, so that it goes when they are erased, and lies in no inbox."""
    send_at = due + timedelta(seconds=escalation.after_s)
    to_url = escalation.to_url
    arrives = draft.inbox and not to_url
    terms = Terms(routing=escalation.routing, send_at=send_at, arrives=arrives, escalates=escalates.id, to_url=to_url)
    own = msgspec.structs.replace(draft, terms=terms, variants=(), experiment="", trace=linked(draft.trace))
    user = escalation.to_user or escalates.user
    return Companion(str(clock.new_id()), user, _draft_row(own, send_at, now, clock), to_micros(send_at))


def _draft_row(draft: Draft, due: datetime, now: datetime, clock: Clock) -> Mapping[str, Any]:
    return {
        "id": str(clock.new_id()),
        "lane": int(draft.lane),
        "created_at": to_micros(now),
        "expires_at": to_micros(due + timedelta(seconds=draft.ttl_s)),
        "body": encode_body(draft),
    }


def store_companions(connection: Connection, companions: Sequence[Companion]) -> None:
    """Store them, each with a plan step; none of them lies in an inbox yet."""
    if not companions:
        return
    connection.execute(_INSERT_DRAFTS, [one.draft for one in companions])
    rows = [(one.id, one.draft["id"], one.user, one.digest_id) for one in companions]
    execute_rows(connection, _INSERT, rows, same_state=State.PENDING.value, same_inbox=int(Place.LEFT_OUT))
    plans = [(one.id, one.draft["lane"], one.due_at, one.draft["expires_at"]) for one in companions]
    execute_rows(connection, _INSERT_PLANS, plans, same_device_id=PLAN, same_attempt=0, same_provider="")


def call_off(connection: Connection, ids: Sequence[str], now: int, outbox: StatusOutbox, detail: str) -> tuple[str, ...]:
    """End those that are pending; tells which these were."""
    if not ids:
        return ()
    connection.execute(_HOLD_STEPS, {"among": sorted(ids)})
    rows = connection.execute(_CALL_OFF, {"among": sorted(ids)}).all()
    ended = tuple(row.id for row in rows)
    if not ended:
        return ()
    connection.execute(_REMOVE_STEPS, {"among": list(ended)})
    entry = Entry("", Outcome.CANCELLED, from_micros(now), detail=detail)
    execute_rows(connection, _WRITE, [entry_row(row.id, entry) for row in rows])
    for row in rows:
        outbox.ended(connection, [row.id], row.user, State.CANCELLED, now)
    return ended
