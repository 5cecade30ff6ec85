"""Into the ledger: a draft becomes a notification for each of its users, each with a plan step that is due when it is to be
told; of what is collected the step rests, and its digest has one that is due."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, insert

from broker.confirmations import Place
from broker.errors import BadInput
from broker.experiments import assign
from broker.notification import Accepted, Draft, Entry, Outcome, State
from broker.store import digests
from broker.store.bulk import execute_rows, insert_rows
from broker.store.companions import LONGEST_DAY, Companion, digests_for, escalations_for, store_companions
from broker.store.idempotency import Key, take_key
from broker.store.keys import PLAN
from broker.store.moments import from_micros, to_micros
from broker.store.repeats import Repeats, repeats_of
from broker.store.rows import ENTRY_COLUMNS, encode_body, entry_row
from broker.store.schema import DRAFTS, ENTRIES, NOTIFICATIONS, STEPS
from config.clock import Clock

__all__ = ["NewNotifications", "due_of", "prepare", "store_new"]

_INSERT_DRAFT: Final = insert(DRAFTS)
_INSERT_NOTIFICATIONS: Final = insert_rows(
    NOTIFICATIONS,
    NOTIFICATIONS.c.id,
    NOTIFICATIONS.c.user,
    same=(NOTIFICATIONS.c.draft_id, NOTIFICATIONS.c.state, NOTIFICATIONS.c.inbox),
)
_INSERT_SPECIAL: Final = insert_rows(
    NOTIFICATIONS,
    NOTIFICATIONS.c.id,
    NOTIFICATIONS.c.user,
    NOTIFICATIONS.c.variant,
    NOTIFICATIONS.c.digest_id,
    NOTIFICATIONS.c.escalation_id,
    same=(NOTIFICATIONS.c.draft_id, NOTIFICATIONS.c.state, NOTIFICATIONS.c.inbox, NOTIFICATIONS.c.experiment),
)
_WRITE: Final = insert_rows(ENTRIES, *ENTRY_COLUMNS)
_INSERT_PLANS: Final = insert_rows(
    STEPS,
    STEPS.c.notification_id,
    same=(STEPS.c.device_id, STEPS.c.lane, STEPS.c.due_at, STEPS.c.attempt, STEPS.c.provider, STEPS.c.expires_at),
)


# How far ahead something may be sent.
_HORIZON: Final = timedelta(days=366)


class NewNotifications(msgspec.Struct, frozen=True):
    """What is ready to be stored, and the answer that is given for it."""

    answer: tuple[Accepted, ...]
    draft: Mapping[str, Any]
    place: Place
    due_at: int
    experiment: str = ""
    variants: tuple[str, ...] = ()
    digest_key: str = ""
    digests: Sequence[Companion] = ()
    slides_to: int | None = None
    first_at_once: bool = False
    escalations: Sequence[Companion] = ()
    held_out: frozenset[str] = frozenset()  # ids of those who are told nothing
    latest_at: int | None = None  # of what is told by habit, where it is said
    repeats: Repeats | None = None


def prepare(draft: Draft, clock: Clock) -> NewNotifications:
    """Give ids and encode, before anything waits for the database.

    Raises:
        BadInput: Naming `send_at` or `send_by_habit.latest`, which is too far away.
    """
    now = clock.now()
    due = due_of(draft, now)
    latest = draft.terms.latest
    is_local = draft.terms.by_habit or draft.terms.send_at_local or (draft.digest is not None and draft.digest.at)
    lives_from = max(due, latest) if latest else due + LONGEST_DAY if is_local else due
    row = {
        "id": str(clock.new_id()),
        "lane": int(draft.lane),
        "created_at": to_micros(now),
        "expires_at": to_micros(lives_from + timedelta(seconds=draft.ttl_s)),
        "body": encode_body(draft),
    }
    answer = tuple(Accepted(user, str(clock.new_id())) for user in draft.users)
    variants = [assign(draft.experiment, user, draft.variants) for user in draft.users] if draft.variants else []
    held_out = frozenset(one.id for one, variant in zip(answer, variants, strict=False) if variant.is_holdout)
    told = tuple(one for one in answer if one.id not in held_out)
    return NewNotifications(
        answer,
        row,
        Place.UNSEEN if draft.inbox and not draft.terms.arrives else Place.LEFT_OUT,
        to_micros(due),
        draft.experiment,
        tuple(variant.name for variant in variants),
        draft.digest.key if draft.digest else "",
        digests_for(draft, told, now, clock),
        _slides_to(draft, now),
        draft.digest is not None and draft.digest.first_at_once,
        escalations_for(draft, told, now, due, clock),
        held_out,
        to_micros(latest) if latest else None,
        repeats_of(draft),
    )


def _slides_to(draft: Draft, now: datetime) -> int | None:
    """Tell until when digests that take these in stay open for more; None where the first one has said so for good."""
    if draft.digest is None or not draft.digest.longest_s:
        return None
    return to_micros(now + timedelta(seconds=draft.digest.window_s))


def due_of(draft: Draft, now: datetime) -> datetime:
    """Tell when a draft is to be told.

    Raises:
        BadInput: Naming `send_at` or `send_by_habit.latest`, which is too far away.
    """
    send_at, latest = draft.terms.send_at, draft.terms.latest
    if latest is not None and latest > now + _HORIZON:
        raise BadInput("send_by_habit.latest", f"must be within {_HORIZON.days} days")
    if send_at is None:
        return now
    if send_at > now + _HORIZON:
        raise BadInput("send_at", f"must be within {_HORIZON.days} days")
    return send_at


def store_new(connection: Connection, new: NewNotifications, key: Key | None) -> tuple[Accepted, ...]:
    """Store a draft and its notifications, unless the key was seen before.

    Returns:
        The answer, which is the first one's where the key was seen.
    Raises:
        BadInput: The key was used with another fingerprint, or `send_at` or `send_by_habit.latest` is over.
    """
    if key is not None and (first := take_key(connection, key, new.answer)) is not None:
        return first
    draft = new.draft
    if new.due_at < draft["created_at"]:  # only now: a late repeat gets the first one's answer
        raise BadInput("send_at", "must not be over")
    if new.latest_at is not None and new.latest_at < draft["created_at"]:
        raise BadInput("send_by_habit.latest", "must not be over")
    connection.execute(_INSERT_DRAFT, draft)
    same = {"same_draft_id": draft["id"], "same_state": State.PENDING.value, "same_inbox": int(new.place)}
    collected: set[str] = set()
    if new.variants or new.digests or new.escalations:
        rows = _special(connection, new)
        collected = {row[0] for row in rows if row[3]}
        told = [row for row in rows if row[0] not in new.held_out]
        execute_rows(connection, _INSERT_SPECIAL, told, **same, same_experiment=new.experiment)
        _hold_out(connection, new, [row for row in rows if row[0] in new.held_out])
    else:
        execute_rows(connection, _INSERT_NOTIFICATIONS, [(one.id, one.user) for one in new.answer], **same)
    own = [(one.id,) for one in new.answer if one.id not in collected and one.id not in new.held_out]
    for due_at, plans in ((new.due_at, own), (None, [(one,) for one in sorted(collected)])):
        execute_rows(
            connection,
            _INSERT_PLANS,
            plans,
            same_device_id=PLAN,
            same_lane=draft["lane"],
            same_due_at=due_at,
            same_attempt=0,
            same_provider="",
            same_expires_at=draft["expires_at"],
        )
    store_companions(connection, new.escalations)
    return new.answer


def _special(connection: Connection, new: NewNotifications) -> Sequence[tuple[str, ...]]:
    """Find the digests, storing those that are new, and make the rows of what is more than a notification of its draft."""
    digest_by_user: Mapping[str, str] = {}
    if new.digests:
        digest_by_user = digests.join(connection, new.digest_key, new.digests, new.slides_to)
        opened = [one for one in new.digests if digest_by_user[one.user] == one.id]
        store_companions(connection, opened)
        if new.first_at_once:
            digest_by_user = {user: id_ for user, id_ in digest_by_user.items() if id_ not in {one.id for one in opened}}
    variants = new.variants or [""] * len(new.answer)
    escalations = iter(new.escalations)  # in the order of those who are told
    rows = []
    for one, variant in zip(new.answer, variants, strict=True):
        escalation = next(escalations, None) if one.id not in new.held_out else None
        rows.append((one.id, one.user, variant, digest_by_user.get(one.user, ""), escalation.id if escalation else ""))
    return rows


def _hold_out(connection: Connection, new: NewNotifications, rows: Sequence[tuple[str, ...]]) -> None:
    """Store those of the control group, who count and are told nothing."""
    same = {"same_draft_id": new.draft["id"], "same_state": State.HELD_OUT.value, "same_inbox": int(Place.LEFT_OUT)}
    execute_rows(connection, _INSERT_SPECIAL, rows, **same, same_experiment=new.experiment)
    line = Entry("", Outcome.HELD_OUT, from_micros(new.draft["created_at"]), detail=f"control group of {new.experiment}")
    execute_rows(connection, _WRITE, [entry_row(row[0], line) for row in rows])
