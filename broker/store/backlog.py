"""What waits in each lane, on SQL: a look at the front of the index that claims go by, or of that of decisions alone."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

from sqlalchemy import Connection, bindparam, func, literal_column, select

from broker.backlog import LaneBacklog
from broker.notification import Lane
from broker.store.database import Database
from broker.store.moments import from_micros, to_micros
from broker.store.schema import STEPS
from config.clock import Clock

__all__ = ["SqlBacklog"]

# A step that is being worked on has its lease's end for its due time.
_FRONT: Final = (
    select(STEPS.c.due_at)
    .where(STEPS.c.lane == bindparam("of_lane"), STEPS.c.due_at <= bindparam("now"))
    .order_by(STEPS.c.due_at)
    .limit(bindparam("most"))
    .subquery()
)
_COUNTED: Final = select(func.count().label("waiting"), func.min(_FRONT.c.due_at).label("oldest")).select_from(_FRONT)
_OLDEST_PLAN: Final = (
    select(STEPS.c.due_at)
    .where(STEPS.c.lane == bindparam("of_lane"), STEPS.c.due_at <= bindparam("now"))
    .where(STEPS.c.provider == literal_column("''"), STEPS.c.lease.is_(None))  # as written in the partial index
    .order_by(STEPS.c.due_at)
    .limit(1)
)


class SqlBacklog:
    """Implements `broker.backlog.Backlog`."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database, self._clock = database, clock

    async def lanes(self, *, limit: int) -> Sequence[LaneBacklog]:
        asked = {"now": to_micros(self._clock.now()), "most": limit}
        return await self._database.read(lambda connection: [_lane(connection, lane, asked) for lane in Lane])

    async def undecided(self) -> Mapping[Lane, datetime]:
        now = to_micros(self._clock.now())
        return await self._database.read(lambda connection: _undecided(connection, now))


def _undecided(connection: Connection, now: int) -> Mapping[Lane, datetime]:
    asked = ((lane, connection.execute(_OLDEST_PLAN, {"of_lane": int(lane), "now": now}).scalar_one_or_none()) for lane in Lane)
    return {lane: from_micros(due_at) for lane, due_at in asked if due_at is not None}


def _lane(connection: Connection, lane: Lane, asked: dict[str, int]) -> LaneBacklog:
    row = connection.execute(_COUNTED, {**asked, "of_lane": int(lane)}).one()
    return LaneBacklog(lane, row.waiting, None if row.oldest is None else from_micros(row.oldest))
