"""What came of claimed steps, written in one transaction; and leases held longer or given back."""

from collections.abc import Collection, Mapping, Sequence
from typing import Final

import msgspec
from sqlalchemy import Connection, and_, bindparam, delete, func, insert, not_, select, tuple_, update

from broker.confirmations import Place
from broker.ledger import Passage, PlanDone, SendDone, Step
from broker.notification import Lane, State
from broker.store.bulk import Rows, WideInsert, execute_rows, insert_rows
from broker.store.bulk_reading import BulkRead
from broker.store.changes import Changes, decide
from broker.store.dialect import Among, TextList
from broker.store.digests import close
from broker.store.frequency import count_told
from broker.store.keys import PLAN, StepKey
from broker.store.operation_tables import DEAD_LETTERS
from broker.store.removed_devices import set_aside
from broker.store.rows import ENTRY_COLUMNS
from broker.store.schema import ENTRIES, NOTIFICATIONS, STEPS
from broker.store.status_outbox import StatusOutbox
from broker.store.suppression import suppress

__all__ = ["Told", "earliest_due", "give_all_back", "hold_longer", "record", "release"]

_S: Final = STEPS.c
_L: Final = DEAD_LETTERS.c


class _LeaseRow(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """A step, and who holds it."""

    notification_id: str
    device_id: str
    lease: str | None


# Taken in one order by all who take more than one, so that two transactions never wait for each other.
_LEASES: Final = BulkRead(
    _LeaseRow,
    select(_S.notification_id, _S.device_id, _S.lease)
    .where(Among(_S.notification_id, bindparam("among", type_=TextList())))
    .order_by(_S.notification_id, _S.device_id)
    .with_for_update(),
)
_BACK: Final = Rows(_S.notification_id, _S.device_id, _S.due_at, _S.attempt)
_PUT_BACK: Final = (
    update(STEPS)
    .where(_S.notification_id == _BACK[_S.notification_id], _S.device_id == _BACK[_S.device_id])
    .values(lease=None, worker=None, due_at=_BACK[_S.due_at], attempt=_BACK[_S.attempt])
)
_OPEN: Final = insert_rows(STEPS, _S.notification_id, _S.device_id, _S.lane, _S.due_at, _S.attempt, _S.provider, _S.expires_at)
_LEASED: Final = Rows(_S.notification_id, _S.device_id, _S.lane, _S.attempt, _S.provider, _S.expires_at, _S.lease)
_PLAN: Final = STEPS.alias("plan")
_OPEN_LEASED: Final = insert(STEPS).from_select(
    [*_LEASED.columns, _S.worker, _S.due_at],
    select(*(_LEASED[column] for column in _LEASED.columns), _PLAN.c.worker, _PLAN.c.due_at)
    .select_from(_LEASED.given)
    .join(_PLAN, and_(_PLAN.c.notification_id == _LEASED[_S.notification_id], _PLAN.c.device_id == PLAN)),
)
_GONE: Final = Rows(_S.notification_id, _S.device_id)
_REMOVE: Final = delete(STEPS).where(
    tuple_(_S.notification_id, _S.device_id).in_(
        select(_GONE[_S.notification_id], _GONE[_S.device_id]).select_from(_GONE.given)
    )
)
_REMOVE_ALL: Final = delete(STEPS).where(Among(_S.notification_id, bindparam("among", type_=TextList())))
_WRITE: Final = WideInsert(ENTRIES, *ENTRY_COLUMNS)
_END: Final = (
    update(NOTIFICATIONS)
    .where(Among(NOTIFICATIONS.c.id, bindparam("among", type_=TextList())))
    .values(state=bindparam("new_state"))
)
_ARRIVE: Final = (
    update(NOTIFICATIONS)
    .where(Among(NOTIFICATIONS.c.id, bindparam("among", type_=TextList())), NOTIFICATIONS.c.inbox == int(Place.LEFT_OUT))
    .values(inbox=int(Place.UNSEEN))
)
_BURY: Final = insert_rows(
    DEAD_LETTERS,
    _L.notification_id,
    _L.device_id,
    _L.at,
    _L.route,
    _L.provider,
    _L.address,
    _L.reason,
    _L.detail,
)
_KNOWN: Final = select(NOTIFICATIONS.c.id).where(Among(NOTIFICATIONS.c.id, bindparam("among", type_=TextList())))
_HELD: Final = Rows(_S.notification_id, _S.device_id, _S.lease)
_HOLD: Final = (
    update(STEPS)
    .where(
        _S.notification_id == _HELD[_S.notification_id],
        _S.device_id == _HELD[_S.device_id],
        _S.lease == _HELD[_S.lease],
    )
    .values(due_at=bindparam("until"))
)
_HELD_BY: Final = (
    select(_S.notification_id)
    .where(_S.worker == bindparam("of_worker"))
    .order_by(_S.notification_id, _S.device_id)
    .with_for_update()
)
_RELEASE: Final = (
    update(STEPS)
    .where(_S.worker == bindparam("of_worker"))
    .values(lease=None, worker=None, due_at=bindparam("now"), attempt=_S.attempt - 1)
)
_GIVE_BACK: Final = (
    update(STEPS)
    .where(
        Among(_S.notification_id, bindparam("among", type_=TextList())),
        _S.device_id == PLAN,
        _S.lease == bindparam("of_lease"),
    )
    .values(lease=None, worker=None, due_at=bindparam("now"), attempt=_S.attempt - 1)
)
_GIVE_ALL_BACK: Final = update(STEPS).where(_S.lease.is_not(None)).values(lease=None, worker=None, due_at=bindparam("now"))
_EARLIEST: Final = select(func.min(_S.due_at)).where(_S.due_at.is_not(None))


class Told(msgspec.Struct, frozen=True):
    """Who is told of a record, and when it was made, in microseconds."""

    outbox: StatusOutbox
    now: int


def record(
    connection: Connection, plans: Sequence[PlanDone], sends: Sequence[SendDone], passages: Sequence[Passage], told: Told
) -> Changes:
    """Write what came of claimed steps; tell what it changed."""
    steps = [*(one.plan.step for one in passages), *(plan.step for plan in plans), *(send.step for send in sends)]
    notifications = {step.notification.id: step.notification for step in steps}
    rows = _LEASES.rows(connection, {"among": sorted(notifications)})
    changes = decide({StepKey(row.notification_id, row.device_id): row.lease for row in rows}, plans, sends, passages)
    if stale := notifications.keys() - {row.notification_id for row in rows}:
        _forget_erased(connection, changes, stale)
    _write(connection, changes)
    if changes.dropped:
        set_aside(connection, changes.dropped, told.now)
    _write_beside(connection, changes, told)
    told.outbox.recorded(connection, changes, notifications, told.now)
    return changes


def _forget_erased(connection: Connection, changes: Changes, stale: set[str]) -> None:
    """Write no line for a notification that is gone, its user erased while a delivery was under way."""
    erased = stale - set(connection.execute(_KNOWN, {"among": sorted(stale)}).scalars())
    if erased:
        changes.entries = [row for row in changes.entries if row[0] not in erased]


def _write(connection: Connection, changes: Changes) -> None:
    execute_rows(connection, _OPEN_LEASED, changes.opened_leased)  # reads of their plans who holds them
    execute_rows(connection, _PUT_BACK, changes.put_back)
    execute_rows(connection, _REMOVE, changes.gone)
    execute_rows(connection, _OPEN, changes.opened)
    _WRITE.execute(connection, changes.entries)
    execute_rows(connection, _BURY, changes.dead)
    suppress(connection, changes.suppressed)
    if changes.ended:
        for state, ids in _by_state(changes.ended).items():
            connection.execute(_END, {"among": ids, "new_state": state.value})
        connection.execute(_REMOVE_ALL, {"among": list(changes.ended)})


def _by_state(ended: Mapping[str, State]) -> Mapping[State, list[str]]:
    """Gather them by their state: a statement for each, of which there are few."""
    ids: dict[State, list[str]] = {}
    for notification_id, state in ended.items():
        ids.setdefault(state, []).append(notification_id)
    return ids


def _write_beside(connection: Connection, changes: Changes, told: Told) -> None:
    """Write what few decisions bring beside their steps."""
    if changes.arrived:
        connection.execute(_ARRIVE, {"among": sorted(changes.arrived)})
    count_told(connection, changes.told)
    if changes.elsewhere:
        known = set(connection.execute(_KNOWN, {"among": sorted(row[0] for row in changes.elsewhere)}).scalars())
        _WRITE.execute(connection, [row for row in changes.elsewhere if row[0] in known])
    for user, digest_id in changes.closing:
        close(connection, user, digest_id, told.now, told.outbox)


def hold_longer(connection: Connection, steps: Sequence[Step], until: int) -> None:
    """Move the ends of leases; stale ones match nothing."""
    keys = [StepKey.parse(step.id) for step in steps]
    _LEASES.rows(connection, {"among": list({key.notification_id for key in keys})})
    held = [(*key, step.lease) for key, step in zip(keys, steps, strict=True)]
    execute_rows(connection, _HOLD, held, until=until)


def release(connection: Connection, worker: str, now: int) -> bool:
    """Give a worker's steps back, their attempts uncounted; tell whether there were any."""
    if connection.execute(_HELD_BY, {"of_worker": worker}).first() is None:
        return False
    connection.execute(_RELEASE, {"of_worker": worker, "now": now})
    return True


def give_back(connection: Connection, plans: Sequence[Step], now: int) -> None:
    """Give some plans of one lease back, their attempts uncounted."""
    ids = [plan.notification.id for plan in plans]
    connection.execute(_GIVE_BACK, {"among": ids, "of_lease": plans[0].lease, "now": now})


def give_all_back(connection: Connection, now: int) -> None:
    """Give every lease back, the attempts counted: for a process that is alone, so that all holders are dead."""
    connection.execute(_GIVE_ALL_BACK, {"now": now})


def earliest_due(connection: Connection, paused: frozenset[str], lanes: Collection[Lane]) -> int | None:
    """Tell when the next step of some lanes is due or its lease runs out, a look into the index per lane."""
    if not lanes:
        return None
    query = _EARLIEST
    if paused:
        query = query.where(not_(Among(_S.provider, bindparam("paused", sorted(paused), type_=TextList()))))
    row = connection.execute(select(*(query.where(_S.lane == int(lane)).scalar_subquery() for lane in lanes))).one()
    return min((due for due in row if due is not None), default=None)
