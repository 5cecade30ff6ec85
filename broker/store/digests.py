"""Digests: notifications of a user under a key, collected for a while and told in one message.

The first one makes a digest beside itself, a notification that falls due at the end of the window; a row per (user, key) says
which one takes in. Whatever comes while that row is there joins it, and rests. When the digest is decided the row goes, what it
has collected ends as digested, and its texts are made: one transaction, after which it goes the routes like any other. Who
joins holds the row, and who closes removes it, so that nothing joins what is closed already.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, bindparam, delete, select, update

from broker.notification import Content, Entry, Outcome, State
from broker.store.bulk import execute_rows, insert_rows
from broker.store.companions import Companion, call_off
from broker.store.dialect import Among, TextList, upsert
from broker.store.moments import from_micros
from broker.store.preference_tables import DIGESTS
from broker.store.rows import (
    ENTRY_COLUMNS,
    decode_draft,
    encode_stored_body,
    entry_row,
    notification_from,
)
from broker.store.schema import DRAFTS, ENTRIES, NOTIFICATIONS, STEPS
from broker.store.status_outbox import StatusOutbox

__all__ = ["call_members_off", "close", "join", "members_of"]

# So many headlines are told, the newest first.
_TOLD: Final = 5

_D: Final = DIGESTS.c
_N: Final = NOTIFICATIONS.c
_IDS: Final = bindparam("among", type_=TextList())
_DIGEST: Final = bindparam("digest", type_=_N.digest_id.type)

_OPEN: Final = select(_D.user, _D.digest_id).where(Among(_D.user, _IDS), _D.key == bindparam("of_key"))
_REMOVE: Final = delete(DIGESTS).where(_D.user == bindparam("of_user"), _D.digest_id == _DIGEST)
_MEMBERS: Final = select(_N.id).where(_N.digest_id == _DIGEST, _N.id != _DIGEST).order_by(_N.id)
_PENDING: Final = _MEMBERS.where(_N.state == State.PENDING.value)
_REMOVE_STEPS: Final = delete(STEPS).where(Among(STEPS.c.notification_id, _IDS))
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


def join(connection: Connection, key: str, candidates: Sequence[Companion]) -> Mapping[str, str]:
    """Tell by user which digest takes in; where none does the candidate becomes it, and is to be stored by the caller."""
    rows = [{"user": one.user, "key": key, "digest_id": one.id} for one in candidates]
    insert = upsert(connection, DIGESTS)
    # Changes nothing where there is one, but holds it until this transaction has ended.
    insert = insert.on_conflict_do_update(index_elements=[_D.user, _D.key], set_={"key": insert.excluded.key})
    connection.execute(insert, rows)
    asked = {"among": [one.user for one in candidates], "of_key": key}
    return {row.user: row.digest_id for row in connection.execute(_OPEN, asked)}


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
    newest = told[-_TOLD:]
    rows = {row.notification_id: row for row in connection.execute(_TEXTS, {"among": list(newest)}).all()}
    titles = [_title(rows[notification_id]) for notification_id in reversed(newest)]
    body = decode_draft(digest).body
    content = Content(
        title=body.terms.collects.replace("{count}", str(len(told))),
        body="\n".join(title for title in titles if title),
        data=msgspec.Raw(msgspec.json.encode({"digest": {"count": len(told), "notifications": newest[::-1]}})),
        category=body.content.category,
        collapse_key=body.content.collapse_key,
    )
    made = msgspec.structs.replace(body, content=content, terms=msgspec.structs.replace(body.terms, collects=""))
    connection.execute(_MAKE, {"of_draft": digest.id, "new_body": encode_stored_body(made)})


def _title(row: Any) -> str:
    content = notification_from(
        row.notification_id, row.user, row.state, decode_draft(row), row.experiment, row.variant
    ).content
    return content.title or content.body[:80]
