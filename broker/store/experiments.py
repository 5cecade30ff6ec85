"""What experiments came to, counted on SQL."""

from collections.abc import Sequence
from typing import Final

from sqlalchemy import bindparam, case, exists, func, select

from broker.experiments import VariantResult
from broker.notification import Outcome, State
from broker.store.database import Database
from broker.store.schema import ENTRIES, NOTIFICATIONS
from broker.store.texts import is_name

__all__ = ["SqlExperiments"]

_N: Final = NOTIFICATIONS.c
_TOLD: Final = (Outcome.PUBLISHED.value, Outcome.ACCEPTED.value)
_WAS_TOLD: Final = exists().where(ENTRIES.c.notification_id == _N.id, ENTRIES.c.outcome.in_(_TOLD)).correlate(NOTIFICATIONS)
_COUNTED: Final = (
    select(_N.id, _N.variant, _N.state, case((_WAS_TOLD, 1), else_=0).label("told"))
    # The second condition is that of the partial index, without which SQLite would not use it.
    .where(_N.experiment == bindparam("experiment"), _N.experiment != "")
    .subquery()
)
_RESULTS: Final = (
    select(
        _COUNTED.c.variant,
        func.count().label("total"),
        func.sum(_COUNTED.c.told).label("sent"),
        func.sum(case((_COUNTED.c.state == State.ACKNOWLEDGED.value, 1), else_=0)).label("acknowledged"),
    )
    .group_by(_COUNTED.c.variant)
    .order_by(_COUNTED.c.variant)
)


class SqlExperiments:
    """Implements `broker.experiments.Experiments`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def results(self, experiment: str) -> Sequence[VariantResult]:
        if not is_name(experiment):
            return ()
        rows = await self._database.read(lambda connection: connection.execute(_RESULTS, {"experiment": experiment}).all())
        return [VariantResult(row.variant, int(row.total), int(row.sent), int(row.acknowledged)) for row in rows]
