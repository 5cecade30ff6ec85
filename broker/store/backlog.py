"""What waits in each lane, on SQL: a look at the front of the index that claims go by."""

from collections.abc import Sequence
from typing import Final

from sqlalchemy import Connection, bindparam, func, select

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


class SqlBacklog:
    """Implements `broker.backlog.Backlog`."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database, self._clock = database, clock

    async def lanes(self, *, limit: int) -> Sequence[LaneBacklog]:
        asked = {"now": to_micros(self._clock.now()), "most": limit}
        return await self._database.read(lambda connection: [_lane(connection, lane, asked) for lane in Lane])


def _lane(connection: Connection, lane: Lane, asked: dict[str, int]) -> LaneBacklog:
    row = connection.execute(_COUNTED, {**asked, "of_lane": int(lane)}).one()
    return LaneBacklog(lane, row.waiting, None if row.oldest is None else from_micros(row.oldest))
