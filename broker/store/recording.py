"""What came of claimed steps, written in one transaction; and leases held longer or given back."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from sqlalchemy import Connection, bindparam, delete, func, insert, not_, select, update

from broker.ledger import PlanDone, SendDone, Step
from broker.notification import Lane, Provider
from broker.store.changes import Changes, decide
from broker.store.dialect import Among, TextList
from broker.store.keys import StepKey
from broker.store.schema import DEVICES, ENTRIES, NOTIFICATIONS, STEPS

__all__ = ["earliest_due", "give_all_back", "hold_longer", "record", "release"]

_S: Final = STEPS.c
_THIS: Final = (_S.notification_id == bindparam("of_notification"), _S.device_id == bindparam("of_device"))

# Taken in one order by all who take more than one, so that two transactions never wait for each other.
_LEASES: Final = (
    select(_S.notification_id, _S.device_id, _S.lease)
    .where(Among(_S.notification_id, bindparam("among", type_=TextList())))
    .order_by(_S.notification_id, _S.device_id)
    .with_for_update()
)
_PUT_BACK: Final = (
    update(STEPS)
    .where(*_THIS)
    .values(lease=None, worker=None, due_at=bindparam("new_due_at"), attempt=bindparam("new_attempt"))
)
_OPEN: Final = insert(STEPS)
_REMOVE: Final = delete(STEPS).where(*_THIS)
_REMOVE_ALL: Final = delete(STEPS).where(Among(_S.notification_id, bindparam("among", type_=TextList())))
_WRITE: Final = insert(ENTRIES)
_END: Final = (
    update(NOTIFICATIONS).where(NOTIFICATIONS.c.id == bindparam("of_notification")).values(state=bindparam("new_state"))
)
_DROP: Final = delete(DEVICES).where(DEVICES.c.id == bindparam("of_device"), DEVICES.c.registered_at <= bindparam("known_at"))
_HOLD: Final = update(STEPS).where(*_THIS, _S.lease == bindparam("of_lease")).values(due_at=bindparam("until"))
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
_GIVE_ALL_BACK: Final = update(STEPS).where(_S.lease.is_not(None)).values(lease=None, worker=None, due_at=bindparam("now"))
_EARLIEST: Final = select(func.min(_S.due_at)).where(_S.due_at.is_not(None))


def record(connection: Connection, plans: Sequence[PlanDone], sends: Sequence[SendDone]) -> Changes:
    """Write what came of claimed steps; tell what it changed."""
    concerned = {plan.step.notification.id for plan in plans} | {send.step.notification.id for send in sends}
    rows = connection.execute(_LEASES, {"among": sorted(concerned)})
    changes = decide({StepKey(row.notification_id, row.device_id): row.lease for row in rows}, plans, sends)
    _write(connection, changes)
    return changes


def _write(connection: Connection, changes: Changes) -> None:
    _many(
        connection,
        _PUT_BACK,
        ({**_of(key), "new_due_at": put.due_at, "new_attempt": put.attempt} for key, put in changes.put_back.items()),
    )
    _many(connection, _REMOVE, (_of(key) for key in changes.gone))
    _many(connection, _OPEN, changes.opened)
    _many(connection, _WRITE, changes.entries)
    _many(connection, _END, ({"of_notification": ended, "new_state": state.value} for ended, state in changes.ended.items()))
    if changes.ended:
        connection.execute(_REMOVE_ALL, {"among": list(changes.ended)})
    _many(connection, _DROP, ({"of_device": device, "known_at": at} for device, at in sorted(changes.dropped.items())))


def hold_longer(connection: Connection, steps: Iterable[Step], until: int) -> None:
    """Move the ends of leases; stale ones match nothing."""
    keys = sorted((StepKey.parse(step.id), step.lease) for step in steps)
    _many(connection, _HOLD, ({**_of(key), "of_lease": lease, "until": until} for key, lease in keys))


def release(connection: Connection, worker: str, now: int) -> bool:
    """Give a worker's steps back, their attempts uncounted; tell whether there were any."""
    if connection.execute(_HELD_BY, {"of_worker": worker}).first() is None:
        return False
    connection.execute(_RELEASE, {"of_worker": worker, "now": now})
    return True


def give_all_back(connection: Connection, now: int) -> None:
    """Give every lease back, the attempts counted: for a process that is alone, so that all holders are dead."""
    connection.execute(_GIVE_ALL_BACK, {"now": now})


def earliest_due(connection: Connection, paused: frozenset[Provider]) -> int | None:
    """Tell when the next step is due or its lease runs out, a look into the index per lane."""
    query = _EARLIEST
    if paused:
        query = query.where(not_(Among(_S.provider, bindparam("paused", sorted(paused), type_=TextList()))))
    row = connection.execute(select(*(query.where(_S.lane == int(lane)).scalar_subquery() for lane in Lane))).one()
    return min((due for due in row if due is not None), default=None)


def _of(key: StepKey) -> dict[str, Any]:
    return {"of_notification": key.notification_id, "of_device": key.device_id}


def _many(connection: Connection, statement: Any, rows: Iterable[Mapping[str, Any]]) -> None:
    if many := list(rows):
        connection.execute(statement, many)
