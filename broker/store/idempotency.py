"""Idempotency keys: the first request under a key is carried out, every other one gets the first one's answer.

What is kept of an answer are ids, in order, and no users: a request that gets it names them again, in the same order, or its
fingerprint would be another. So there is nothing to be found here when a user is erased.
"""

from collections.abc import Sequence
from typing import Final

import msgspec
from sqlalchemy import Connection, bindparam, delete, select, update

from broker.errors import BadInput
from broker.notification import Accepted
from broker.store.dialect import upsert
from broker.store.schema import IDEMPOTENCY_KEYS

__all__ = ["PURGE_SIZE", "Key", "purge", "replace_answer", "take_key"]

# How many dead keys one purge removes at most, so that no request pays for many.
PURGE_SIZE: Final = 1000

_KEYS: Final = IDEMPOTENCY_KEYS.c
_ANSWER: Final = msgspec.json.Decoder(tuple[Accepted, ...])

_FIRST: Final = select(_KEYS.fingerprint, _KEYS.answer).where(_KEYS.key == bindparam("key"))
_ANSWER_ANEW: Final = update(IDEMPOTENCY_KEYS).where(_KEYS.key == bindparam("of_key")).values(answer=bindparam("new_answer"))
_DEAD: Final = (
    select(_KEYS.key)
    .where(_KEYS.created_at <= bindparam("dead_before"))
    .order_by(_KEYS.created_at)
    .limit(PURGE_SIZE)
    .with_for_update(skip_locked=True)
)
_PURGE: Final = delete(IDEMPOTENCY_KEYS).where(_KEYS.key.in_(_DEAD))


class Key(msgspec.Struct, frozen=True):
    """A key as a request brings it; moments in microseconds. A stored key of `dead_before` or earlier counts as unseen."""

    key: str
    fingerprint: bytes
    now: int
    dead_before: int


def take_key(connection: Connection, key: Key, answer: Sequence[Accepted]) -> tuple[Accepted, ...] | None:
    """Take a key for `answer`, or learn that it is taken.

    A twin that took it and has not committed yet is waited for.

    Returns:
        None when the key is this request's now; else the first answer.
    Raises:
        BadInput: The first request had another fingerprint.
    """
    row = {"key": key.key, "created_at": key.now, "fingerprint": key.fingerprint, "answer": _encode(answer)}
    insert = upsert(connection, IDEMPOTENCY_KEYS).values(row)
    insert = insert.on_conflict_do_update(
        index_elements=[_KEYS.key],
        set_={name: insert.excluded[name] for name in ("created_at", "fingerprint", "answer")},
        where=_KEYS.created_at <= key.dead_before,
    )
    if connection.execute(insert.returning(_KEYS.key)).first() is not None:
        return None
    first = connection.execute(_FIRST, {"key": key.key}).one()
    if first.fingerprint != key.fingerprint:
        raise BadInput("idempotency_key", "was used before with another request")
    return tuple(
        Accepted(kept.user or asked.user, kept.id) for kept, asked in zip(_ANSWER.decode(first.answer), answer, strict=True)
    )


def replace_answer(connection: Connection, key: Key, answer: Sequence[Accepted]) -> None:
    """Change the answer that was given under a key, in the transaction that took it."""
    connection.execute(_ANSWER_ANEW, {"of_key": key.key, "new_answer": _encode(answer)})


def _encode(answer: Sequence[Accepted]) -> bytes:
    return msgspec.json.encode([Accepted("", one.id) for one in answer])


def purge(connection: Connection, dead_before: int) -> int:
    """Remove keys that count as unseen, at most `PURGE_SIZE`; tell how many."""
    return connection.execute(_PURGE, {"dead_before": dead_before}).rowcount
