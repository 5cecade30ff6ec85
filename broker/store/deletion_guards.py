"""The reports of guards on SQL: a row per closed one, repeated by its process."""

from collections.abc import Sequence
from datetime import timedelta
from functools import partial
from typing import Final

from sqlalchemy import Connection, bindparam, delete, insert, select, update

from broker.audit import Act
from broker.deletion_guards import ClosedGuard
from broker.store.audit_trail import Trail
from broker.store.database import Database
from broker.store.moments import from_micros, to_micros
from broker.store.operation_tables import DELETION_GUARDS
from broker.store.texts import is_name
from config.clock import Clock

__all__ = ["SqlDeletionGuards"]

_G: Final = DELETION_GUARDS.c
_FORGOTTEN_AFTER: Final = timedelta(minutes=1)
_TRUSTED: Final = select(_G.carrier).where(_G.worker == bindparam("of_worker"), _G.is_trusted).with_for_update()
_REMOVE: Final = delete(DELETION_GUARDS).where(_G.worker == bindparam("of_worker"))
_REMOVE_FORGOTTEN: Final = delete(DELETION_GUARDS).where(_G.seen_at < bindparam("seen_since"))
_CLOSED: Final = select(DELETION_GUARDS).where(_G.seen_at >= bindparam("seen_since")).order_by(_G.carrier, _G.worker)
_TRUST: Final = (
    update(DELETION_GUARDS)
    .where(_G.carrier == bindparam("of_carrier"), _G.seen_at >= bindparam("seen_since"))
    .values(is_trusted=True)
)


class SqlDeletionGuards:
    """Implements `broker.deletion_guards.DeletionGuards`."""

    def __init__(self, database: Database, clock: Clock, trail: Trail) -> None:
        self._database, self._clock, self._trail = database, clock, trail

    async def report(self, worker: str, closed: Sequence[ClosedGuard]) -> frozenset[str]:
        now = to_micros(self._clock.now())
        rows = [
            {
                "carrier": guard.carrier,
                "worker": worker,
                "closed_at": to_micros(guard.closed_at),
                "seen_at": now,
                "kept": guard.kept,
                "is_trusted": False,
            }
            for guard in closed
        ]
        return await self._database.write(partial(_replace, worker=worker, rows=rows, seen_since=self._seen_since()))

    async def closed(self) -> Sequence[ClosedGuard]:
        asked = {"seen_since": self._seen_since()}
        rows = await self._database.read(lambda connection: connection.execute(_CLOSED, asked).all())
        return [ClosedGuard(row.carrier, row.worker, from_micros(row.closed_at), row.kept) for row in rows]

    async def trust(self, carrier: str) -> int:
        if not is_name(carrier):
            return 0
        named = {"of_carrier": carrier, "seen_since": self._seen_since()}
        return await self._trail.write(
            lambda connection: connection.execute(_TRUST, named).rowcount,
            lambda count: [Act("deletion_guard.opened", f"provider:{carrier}", details={"guards": count})],
        )

    def _seen_since(self) -> int:
        return to_micros(self._clock.now() - _FORGOTTEN_AFTER)


def _replace(connection: Connection, worker: str, rows: list[dict[str, object]], seen_since: int) -> frozenset[str]:
    trusted = frozenset(connection.execute(_TRUSTED, {"of_worker": worker}).scalars())
    connection.execute(_REMOVE, {"of_worker": worker})
    connection.execute(_REMOVE_FORGOTTEN, {"seen_since": seen_since})
    if kept := [row for row in rows if row["carrier"] not in trusted]:
        connection.execute(insert(DELETION_GUARDS), kept)
    return trusted
