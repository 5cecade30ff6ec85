"""Digests: notifications of a user under a key, collected for a while and told in one message.

The first one makes a digest beside itself, a notification that falls due at the end of the window; a row per (user, key) says
which one takes in. Whatever comes while that row is there joins it, and rests. When the digest is decided the row goes, what it
has collected ends as digested, and its texts are made: one transaction, after which it goes the routes like any other. Who
joins holds the row, and who closes removes it, so that nothing joins what is closed already.

Texts that templates make are made for each reader, when it is told: then the digest's content lists what it tells.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, bindparam, delete, select, update

from broker.notification import Collected, CollectedItem, Entry, Notification, Outcome, State
from broker.store.bulk import Rows, execute_rows, insert_rows
from broker.store.companions import Companion, call_off
from broker.store.dialect import Among, TextList, upsert
from broker.store.keys import PLAN
from broker.store.moments import from_micros
from broker.store.preference_tables import DIGESTS
from broker.store.rows import (
    ENTRY_COLUMNS,
    Body,
    decode_draft,
    encode_stored_body,
    entry_row,
    notification_from,
)
from broker.store.schema import DRAFTS, ENTRIES, NOTIFICATIONS, STEPS
from broker.store.status_outbox import StatusOutbox
from config.tracing import linked

__all__ = ["call_members_off", "close", "join", "members_of"]

# So many headlines are told, the newest first.
_TOLD: Final = 5
# What a template gets to list: so many, each text cut to so many characters, and all together about so large.
_LISTED: Final = 50
_TEXT_CHARS: Final = 1000
_LISTED_BYTES: Final = 64 * 1024

_D: Final = DIGESTS.c
_N: Final = NOTIFICATIONS.c
_IDS: Final = bindparam("among", type_=TextList())
_DIGEST: Final = bindparam("digest", type_=_N.digest_id.type)

_OPEN: Final = select(_D.user, _D.digest_id, _D.closes_by).where(Among(_D.user, _IDS), _D.key == bindparam("of_key"))
_REMOVE: Final = delete(DIGESTS).where(_D.user == bindparam("of_user"), _D.digest_id == _DIGEST)
_MEMBERS: Final = select(_N.id).where(_N.digest_id == _DIGEST, _N.id != _DIGEST).order_by(_N.id)
_PENDING: Final = _MEMBERS.where(_N.state == State.PENDING.value)
_REMOVE_STEPS: Final = delete(STEPS).where(Among(STEPS.c.notification_id, _IDS))
# What is leased is being closed. It is passed over and never waited for: whoever closes waits for the row of `digests`.
_WAITING: Final = (
    select(STEPS.c.notification_id)
    .where(Among(STEPS.c.notification_id, _IDS), STEPS.c.device_id == PLAN, STEPS.c.lease.is_(None))
    .order_by(STEPS.c.notification_id)
    .with_for_update(skip_locked=True)
)
_LATER: Final = Rows(STEPS.c.notification_id, STEPS.c.due_at)
_PUT_OFF: Final = (
    update(STEPS)
    .where(STEPS.c.notification_id == _LATER[STEPS.c.notification_id], STEPS.c.device_id == PLAN)
    .values(due_at=_LATER[STEPS.c.due_at])
)
_END: Final = (
    update(NOTIFICATIONS)
    .where(Among(_N.id, _IDS), _N.state == State.PENDING.value)
    .values(state=State.DIGESTED.value)
    .returning(_N.id)
)
_TEXTS: Final = (
    select(_N.id.label("notification_id"), _N.user, _N.state, _N.experiment, _N.variant, DRAFTS)
    .join_from(NOTIFICATIONS, DRAFTS, DRAFTS.c.id == _N.draft_id)
    .where(Among(_N.id, _IDS))
)
_MAKE: Final = update(DRAFTS).where(DRAFTS.c.id == bindparam("of_draft")).values(body=bindparam("new_body"))
_WRITE: Final = insert_rows(ENTRIES, *ENTRY_COLUMNS)


def join(connection: Connection, key: str, candidates: Sequence[Companion], slides_to: int | None) -> Mapping[str, str]:
    """Tell by user which digest takes in; where none does the candidate becomes it, and is to be stored by the caller.

    Args:
        slides_to: When those that slide close now, unless they have to before.
    """
    rows = [{"user": one.user, "key": key, "digest_id": one.id, "closes_by": one.closes_by} for one in candidates]
    insert = upsert(connection, DIGESTS)
    # Changes nothing where there is one, but holds it until this transaction has ended.
    insert = insert.on_conflict_do_update(index_elements=[_D.user, _D.key], set_={"key": insert.excluded.key})
    connection.execute(insert, rows)
    asked = {"among": [one.user for one in candidates], "of_key": key}
    found = connection.execute(_OPEN, asked).all()
    if slides_to is not None:
        _put_off(connection, {row.digest_id: min(slides_to, row.closes_by) for row in found if row.closes_by is not None})
    return {row.user: row.digest_id for row in found}


def _put_off(connection: Connection, due_by_digest: Mapping[str, int]) -> None:
    waiting = connection.execute(_WAITING, {"among": sorted(due_by_digest)}).scalars()
    execute_rows(connection, _PUT_OFF, [(digest_id, due_by_digest[digest_id]) for digest_id in waiting])


def close(connection: Connection, user: str, digest_id: str, now: int, outbox: StatusOutbox) -> None:
    """Take in no more, end what was collected, and make the texts; a digest of nothing is called off."""
    connection.execute(_REMOVE, {"of_user": user, "digest": digest_id})
    members = list(connection.execute(_PENDING, {"digest": digest_id}).scalars())
    # Steps at first: an ack that has them is waited for, and what it ended is not told again.
    connection.execute(_REMOVE_STEPS, {"among": members})
    told = sorted(connection.execute(_END, {"among": members}).scalars())
    if not told:
        call_off(connection, [digest_id], now, outbox, "nothing is left to tell")
        return
    outbox.ended(connection, told, user, State.DIGESTED, now)
    _make_texts(connection, digest_id, told)
    at = from_micros(now)
    one = Entry("", Outcome.DIGESTED, at, detail=f"told in {digest_id}")
    whole = Entry("", Outcome.DIGESTED, at, detail=f"tells {len(told)}")
    lines = [entry_row(notification_id, one) for notification_id in told]
    execute_rows(connection, _WRITE, [*lines, entry_row(digest_id, whole)])


def members_of(connection: Connection, digest_id: str) -> Sequence[str]:
    """List what a digest has collected, oldest first."""
    return list(connection.execute(_MEMBERS, {"digest": digest_id}).scalars())


def call_members_off(connection: Connection, user: str, digest_id: str, now: int, outbox: StatusOutbox) -> None:
    """End what a digest has collected and not told, the digest itself having been called off."""
    connection.execute(_REMOVE, {"of_user": user, "digest": digest_id})
    members = list(connection.execute(_PENDING, {"digest": digest_id}).scalars())
    call_off(connection, members, now, outbox, "its digest was called off")


def _make_texts(connection: Connection, digest_id: str, told: Sequence[str]) -> None:
    (digest,) = connection.execute(_TEXTS, {"among": [digest_id]}).all()
    newest = told[-_LISTED:][::-1]
    rows = {row.notification_id: row for row in connection.execute(_TEXTS, {"among": newest}).all()}
    body = decode_draft(digest).body
    terms = msgspec.structs.replace(body.terms, collects="", collects_until=())
    members = [_member(rows[one]) for one in newest]
    content = msgspec.structs.replace(body.content, **_told(body, len(told), members))
    trace = linked(*(member.trace for member in reversed(members)))
    made = msgspec.structs.replace(body, content=content, terms=terms, trace=trace)
    connection.execute(_MAKE, {"of_draft": digest.id, "new_body": encode_stored_body(made)})


def _told(body: Body, count: int, members: Sequence[Notification]) -> dict[str, Any]:
    """Say what a digest tells: its texts, or where a template makes one of them, what they are made of."""
    data = {"digest": {"count": count, "notifications": [member.id for member in members[:_TOLD]]}}
    title = body.terms.collects.replace("{count}", str(count))
    made: dict[str, Any] = {"title": title, "data": msgspec.Raw(msgspec.json.encode(data))}
    if body.content.template is None:
        members = members[:_TOLD]
        if all(member.content.is_worded for member in members):
            titles = [member.content.title or member.content.body[:80] for member in members]
            return made | {"body": "\n".join(title for title in titles if title)}
    return made | {"collected": Collected(count, _listed(members))}


def _listed(members: Sequence[Notification]) -> tuple[CollectedItem, ...]:
    """List members as long as they are not too much."""
    items: list[CollectedItem] = []
    size = 0
    for member in members:
        content = member.content
        texts = (content.title[:_TEXT_CHARS], content.body[:_TEXT_CHARS], content.link)
        item = CollectedItem(member.id, member.created_at.timestamp(), *texts, content.data, content.template)
        size += len(msgspec.json.encode(item))
        if items and size > _LISTED_BYTES:
            break
        items.append(item)
    return tuple(items)


def _member(row: Any) -> Notification:
    return notification_from(row.notification_id, row.user, row.state, decode_draft(row), row.experiment, row.variant)
