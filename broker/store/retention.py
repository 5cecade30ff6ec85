"""Retention on SQL. Ids follow time (UUID version 7), so that the oldest notifications are the first of the primary key."""

from datetime import datetime
from typing import Final

from sqlalchemy import Connection, bindparam, select

from broker.notification import State
from broker.store import idempotency
from broker.store.belongings import remove_notifications
from broker.store.database import Database
from broker.store.dialect import Among, TextList
from broker.store.moments import first_id_at, to_micros
from broker.store.schema import NOTIFICATIONS
from config.clock import Clock

__all__ = ["SqlRetention"]

_N: Final = NOTIFICATIONS.c
# Pending ones are passed over and not looked at again before the next round.
_OLDEST: Final = (
    select(_N.id, _N.state)
    .where(_N.id > bindparam("after"), _N.id < bindparam("first_kept"))
    .order_by(_N.id)
    .limit(bindparam("most"))
)
# Judged anew in the transaction that removes: one may have been replayed meanwhile.
_FINISHED: Final = (
    select(_N.id, _N.draft_id)
    .where(Among(_N.id, bindparam("among", type_=TextList())), _N.state != State.PENDING.value)
    .order_by(_N.id)
    .with_for_update(skip_locked=True)
)


class SqlRetention:
    """Implements `broker.retention.Retention`. Remembers how far this round has come."""

    def __init__(self, database: Database, clock: Clock, *, idempotency_ttl_s: float) -> None:
        self._database, self._clock = database, clock
        self._idempotency_ttl_us = int(idempotency_ttl_s * 1_000_000)
        self._after = ""

    async def sweep(self, *, before: datetime, limit: int) -> int:
        asked = {"after": self._after, "first_kept": first_id_at(before), "most": limit}
        rows = await self._database.read(lambda connection: connection.execute(_OLDEST, asked).all())
        ids = [row.id for row in rows if row.state != State.PENDING.value]
        if ids:
            await self._database.write(lambda connection: _remove(connection, ids))
        self._after = rows[-1].id if len(rows) == limit else ""
        return len(rows)

    async def sweep_keys(self) -> int:
        dead_before = to_micros(self._clock.now()) - self._idempotency_ttl_us
        return await self._database.write(lambda connection: idempotency.purge(connection, dead_before))


def _remove(connection: Connection, ids: list[str]) -> None:
    finished = connection.execute(_FINISHED, {"among": ids}).all()
    if finished:
        remove_notifications(connection, {row.id: row.draft_id for row in finished})
