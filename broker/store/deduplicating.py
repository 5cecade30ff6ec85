"""Into the ledger, where a request asks that nothing be told twice: what repeats is left out, and what is older is ended."""

from collections.abc import Collection

import msgspec
from sqlalchemy import Connection

from broker.notification import Accepted
from broker.store.accepting import NewNotifications, store_new
from broker.store.idempotency import Key, replace_answer, take_key
from broker.store.repeats import seen_before, supersede
from broker.store.status_outbox import StatusOutbox

__all__ = ["Stored", "store_once"]


class Stored(msgspec.Struct, frozen=True):
    """The answer, and which older notifications were ended."""

    answer: tuple[Accepted, ...]
    ended: tuple[str, ...] = ()


def store_once(connection: Connection, new: NewNotifications, key: Key | None, outbox: StatusOutbox) -> Stored:
    """Store a draft as `broker.store.accepting.store_new` does. Where it asks for it, not for users who were told the same
    lately: they get the id of that one.

    Raises:
        BadInput: As `store_new`.
    """
    repeats, now = new.repeats, new.draft["created_at"]
    if repeats is None:
        return Stored(store_new(connection, new, key))
    if key is not None and (first := take_key(connection, key, new.answer)) is not None:
        return Stored(first)
    known = seen_before(connection, repeats, new.answer, now) if repeats.window_us else {}
    rest = _without(new, known) if known else new
    if rest.answer:
        store_new(connection, rest, None)
    answer = tuple(Accepted(one.user, known.get(one.user, one.id)) for one in new.answer)
    if key is not None and known:
        replace_answer(connection, key, answer)
    told = [one for one in rest.answer if one.id not in rest.held_out]
    ended = supersede(connection, repeats, told, now, outbox) if repeats.collapse_key and told else ()
    return Stored(answer, tuple(ended))


def _without(new: NewNotifications, users: Collection[str]) -> NewNotifications:
    """Leave users out, with all that was made for them."""
    told = [one for one in new.answer if one.id not in new.held_out]  # whose escalations there are, in this order
    pairs = zip(told, new.escalations, strict=True) if new.escalations else ()
    variants = new.variants or [""] * len(new.answer)
    kept = [(one, variant) for one, variant in zip(new.answer, variants, strict=True) if one.user not in users]
    return msgspec.structs.replace(
        new,
        answer=tuple(one for one, _ in kept),
        variants=tuple(variant for _, variant in kept) if new.variants else (),
        digests=[one for one in new.digests if one.user not in users],
        escalations=[escalation for one, escalation in pairs if one.user not in users],
    )
