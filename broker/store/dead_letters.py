"""The dead letters on SQL."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final

import msgspec
from sqlalchemy import BindParameter, ColumnElement, Connection, Row, bindparam, delete, exists, func, insert, select, update

from broker.audit import Act
from broker.dead_letters import DeadLetter, DeadLetterFilter, Replay, Replayed
from broker.notification import URL_DEVICE, Entry, Outcome, Provider, State, carrier_of
from broker.store.audit_trail import Trail
from broker.store.bulk import execute_rows, insert_rows
from broker.store.database import Database
from broker.store.keys import PLAN
from broker.store.moments import from_micros, to_micros
from broker.store.operation_tables import DEAD_LETTERS
from broker.store.rows import ENTRY_COLUMNS, entry_row
from broker.store.schema import DEVICES, DRAFTS, ENTRIES, NOTIFICATIONS, STEPS
from config.clock import Clock

__all__ = ["SqlDeadLetters"]

_L: Final = DEAD_LETTERS.c
_N: Final = NOTIFICATIONS.c
_S: Final = STEPS.c
_ID: Final[BindParameter[str]] = bindparam("of_notification")

_FIND: Final = select(DEAD_LETTERS, _N.user).join_from(DEAD_LETTERS, NOTIFICATIONS, _N.id == _L.notification_id)
# Letters of one notification in the order of their numbers, notifications in one order for all who take more than one.
_MEANT: Final = (
    select(DEAD_LETTERS).where(_L.number.in_(bindparam("numbers", expanding=True))).order_by(_L.notification_id, _L.number)
)
_STEPS: Final = select(_S.device_id).where(_S.notification_id == _ID).order_by(_S.device_id).with_for_update()
_STANDING: Final = (
    select(_N.user, _N.state, DRAFTS)
    .join_from(NOTIFICATIONS, DRAFTS, DRAFTS.c.id == _N.draft_id)
    .where(_N.id == _ID)
    .with_for_update(of=NOTIFICATIONS)
)
_DEVICE: Final = select(DEVICES.c.provider, DEVICES.c.app).where(
    DEVICES.c.id == bindparam("of_device"), DEVICES.c.user == bindparam("of_user")
)
_GENERATIONS: Final = select(func.count()).where(ENTRIES.c.notification_id == _ID, ENTRIES.c.outcome == Outcome.REPLAYED.value)
_RESTART: Final = update(NOTIFICATIONS).where(_N.id == _ID).values(state=State.PENDING.value)
_REST: Final = (
    update(STEPS).where(_S.notification_id == _ID, _S.device_id == PLAN).values(due_at=None, lease=None, worker=None, attempt=0)
)
_MARK: Final = update(DEAD_LETTERS).where(_L.number == bindparam("of_letter")).values(replayed_at=bindparam("now"))
_WRITE: Final = insert_rows(ENTRIES, *ENTRY_COLUMNS)
_LARGEST: Final = 2**63


class SqlDeadLetters:
    """Implements `broker.dead_letters.DeadLetters`.

    Args:
        made_due: Called when there is something to claim that was not before.
    """

    def __init__(self, database: Database, clock: Clock, trail: Trail, *, made_due: Callable[[], None]) -> None:
        self._database, self._clock, self._trail, self._made_due = database, clock, trail, made_due

    async def find(self, wanted: DeadLetterFilter, *, before: str = "", limit: int) -> Sequence[DeadLetter]:
        query = _FIND.where(*_rules(wanted)).order_by(_L.number.desc()).limit(limit)
        if before:
            query = query.where(_L.number < (_number(before) or 0))
        return await self._database.read(lambda connection: [_letter(row) for row in connection.execute(query)])

    async def replay(self, ids: Sequence[str], *, extend_ttl_s: float = 0.0, dry_run: bool = False) -> Sequence[Replayed]:
        work = _Replaying(to_micros(self._clock.now()), int(extend_ttl_s * 1_000_000), str(self._clock.new_id()), dry_run)
        return await self._trail.write(partial(_replay, ids=ids, work=work), partial(_acts, work=work), self._replayed)

    def _replayed(self, results: Sequence[Replayed]) -> None:
        if any(result.result is Replay.REPLAYED for result in results):
            self._made_due()


def _acts(results: Sequence[Replayed], work: "_Replaying") -> list[Act]:
    """Tell which letters were tried anew, by their ids as far as there is room."""
    begun = [result.id for result in results if result.result is Replay.REPLAYED]
    if not begun or work.is_dry:
        return []
    return [Act("dead_letters.replayed", details={"count": len(begun), "ids": " ".join(begun)})]


class _Replaying(msgspec.Struct, frozen=True):
    """What a replay is done with; moments in microseconds. `draft_id` begins the ids of drafts that live longer."""

    now: int
    extension: int
    draft_id: str
    is_dry: bool


def _rules(wanted: DeadLetterFilter) -> list[ColumnElement[bool]]:
    rules: list[ColumnElement[bool]] = [] if wanted.with_replayed else [_L.replayed_at.is_(None)]
    if wanted.provider:
        rules.append(_L.provider == wanted.provider)
    if wanted.reason:
        rules.append(_L.reason == wanted.reason)
    if wanted.since is not None:
        rules.append(_L.at >= to_micros(wanted.since))
    return rules


def _number(letter_id: str) -> int | None:
    """Read an id; None where it names no letter that could be."""
    number = int(letter_id) if letter_id.isascii() and letter_id.isdecimal() and len(letter_id) < 20 else _LARGEST
    return number if number < _LARGEST else None


def _letter(row: Row[Any]) -> DeadLetter:
    return DeadLetter(
        str(row.number),
        row.notification_id,
        row.user,
        from_micros(row.at),
        row.reason,
        row.detail,
        row.route,
        row.provider,
        row.address,
        row.device_id,
        None if row.replayed_at is None else from_micros(row.replayed_at),
    )


def _replay(connection: Connection, ids: Sequence[str], work: _Replaying) -> list[Replayed]:
    numbers = {letter_id: number for letter_id in ids if (number := _number(letter_id)) is not None}
    letters = connection.execute(_MEANT, {"numbers": sorted(set(numbers.values()))}).all() if numbers else []
    results = {letter.number: _replay_one(connection, letter, work) for letter in letters}
    return [Replayed(one, results.get(numbers.get(one, -1), Replay.NOT_FOUND)) for one in ids]


def _replay_one(connection: Connection, letter: Row[Any], work: _Replaying) -> Replay:
    named = {"of_notification": letter.notification_id}
    devices = set(connection.execute(_STEPS, named).scalars())
    standing = connection.execute(_STANDING, named).one_or_none()
    if standing is None:
        return Replay.NOT_FOUND
    # Read again: whoever replayed it at the same time had the notification until now.
    if connection.execute(select(_L.replayed_at).where(_L.number == letter.number)).scalar_one() is not None:
        return Replay.ALREADY
    if standing.state in (State.ACKNOWLEDGED, State.CANCELLED):
        return Replay.ENDED
    if letter.device_id in devices or (devices and letter.device_id == PLAN):
        return Replay.ALREADY
    expires_at = int(standing.expires_at)
    if expires_at <= work.now:
        if not work.extension:
            return Replay.EXPIRED
        expires_at = work.now + work.extension
    carrier = _carrier(connection, letter, standing.user)
    if carrier is None:
        return Replay.DEVICE_GONE
    if not work.is_dry:
        _begin_anew(connection, letter, standing, _Start(carrier, expires_at, PLAN in devices), work)
    return Replay.REPLAYED


class _Start(msgspec.Struct, frozen=True):
    carrier: str
    expires_at: int
    has_plan: bool


def _carrier(connection: Connection, letter: Row[Any], user: str) -> str | None:
    """Tell who carries the letter; empty for a plan, None where the device is gone."""
    if letter.device_id == PLAN:
        return ""
    if letter.device_id == URL_DEVICE:
        return carrier_of(Provider.WEBHOOK, "")
    device = connection.execute(_DEVICE, {"of_device": letter.device_id, "of_user": user}).one_or_none()
    return None if device is None else carrier_of(Provider(device.provider), device.app)


def _begin_anew(connection: Connection, letter: Row[Any], standing: Row[Any], start: _Start, work: _Replaying) -> None:
    named = {"of_notification": letter.notification_id}
    if start.expires_at != standing.expires_at:
        _extend(connection, letter, standing, start, work)
    connection.execute(_RESTART, named)
    step = {
        "notification_id": letter.notification_id,
        "device_id": letter.device_id,
        "lane": standing.lane,
        "due_at": work.now,
        "attempt": 0,
        "provider": start.carrier,
        "expires_at": start.expires_at,
    }
    connection.execute(insert(STEPS), step)
    if letter.device_id != PLAN:
        # The plan rests while a send is open; the send that ends last wakes it, and it finds its routes used.
        if start.has_plan:
            connection.execute(_REST, named)
        else:
            connection.execute(insert(STEPS), {**step, "device_id": PLAN, "due_at": None, "provider": ""})
    generation = connection.execute(_GENERATIONS, named).scalar_one() + 1
    entry = Entry(
        letter.route,
        Outcome.REPLAYED,
        from_micros(work.now),
        letter.provider,
        letter.address,
        letter.device_id,
        detail=f"replay {generation}",
    )
    execute_rows(connection, _WRITE, [entry_row(letter.notification_id, entry)])
    connection.execute(_MARK, {"of_letter": letter.number, "now": work.now})


def _extend(connection: Connection, letter: Row[Any], standing: Row[Any], start: _Start, work: _Replaying) -> None:
    """Give one notification a draft of its own that lives longer; those that shared it keep theirs."""
    draft_id = f"{work.draft_id}-{letter.number}"
    row = {"id": draft_id, "lane": standing.lane, "created_at": standing.created_at, "body": standing.body}
    connection.execute(insert(DRAFTS), {**row, "expires_at": start.expires_at})
    connection.execute(update(NOTIFICATIONS).where(_N.id == letter.notification_id).values(draft_id=draft_id))
    connection.execute(update(STEPS).where(_S.notification_id == letter.notification_id).values(expires_at=start.expires_at))
    is_shared = exists(select(_N.id).where(_N.draft_id == standing.id))
    connection.execute(delete(DRAFTS).where(DRAFTS.c.id == standing.id, ~is_shared))
