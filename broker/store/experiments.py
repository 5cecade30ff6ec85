"""What experiments came to, counted on SQL; and what was picked of them."""

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import Connection, Row, bindparam, case, delete, exists, func, literal_column, select, update

from broker.experiments import Pick, VariantResult
from broker.notification import Outcome, State
from broker.store.database import Database
from broker.store.dialect import upsert
from broker.store.experiment_table import EXPERIMENT_PICKS
from broker.store.schema import ENTRIES, NOTIFICATIONS
from broker.store.texts import check_name, is_name

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
        func.sum(case((_COUNTED.c.state == State.HELD_OUT.value, 1), else_=0)).label("held_out"),
    )
    .group_by(_COUNTED.c.variant)
    .order_by(_COUNTED.c.variant)
)
_P: Final = EXPERIMENT_PICKS.c
_OF: Final = bindparam("of_experiment", type_=_P.experiment.type)
_PICK: Final = select(EXPERIMENT_PICKS).where(_P.experiment == _OF)
_TAKE_BACK: Final = delete(EXPERIMENT_PICKS).where(_P.experiment == _OF)
_UNDECIDED: Final = (
    # Written out: it is the condition of the partial index.
    select(EXPERIMENT_PICKS).where(_P.variant == literal_column("''")).order_by(_P.experiment).limit(bindparam("most"))
)
_DECIDE: Final = (
    update(EXPERIMENT_PICKS)
    .where(_P.experiment == _OF, _P.variant == "", _P.after == bindparam("was_after"))
    .values(variant=bindparam("found"))
)


class SqlExperiments:
    """Implements `broker.experiments.Experiments`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def results(self, experiment: str) -> Sequence[VariantResult]:
        if not is_name(experiment):
            return ()
        rows = await self._database.read(lambda connection: connection.execute(_RESULTS, {"experiment": experiment}).all())
        return [
            VariantResult(row.variant, int(row.total), int(row.sent), int(row.acknowledged), row.held_out > 0) for row in rows
        ]

    async def pick(self, pick: Pick) -> None:
        check_name("experiment", pick.experiment)
        check_name("variant", pick.variant)
        await self._database.write(lambda connection: _pick(connection, pick))

    async def take_back(self, experiment: str) -> None:
        if is_name(experiment):
            await self._database.write(lambda connection: connection.execute(_TAKE_BACK, {"of_experiment": experiment}))

    async def pick_of(self, experiment: str) -> Pick | None:
        if not is_name(experiment):
            return None
        asked = {"of_experiment": experiment}
        row = await self._database.read(lambda connection: connection.execute(_PICK, asked).one_or_none())
        return None if row is None else _picked(row)

    async def undecided(self, *, limit: int) -> Sequence[Pick]:
        rows = await self._database.read(lambda connection: connection.execute(_UNDECIDED, {"most": limit}).all())
        return [_picked(row) for row in rows]

    async def decide(self, pick: Pick, variant: str) -> None:
        named = {"of_experiment": pick.experiment, "was_after": pick.after, "found": variant}
        await self._database.write(lambda connection: connection.execute(_DECIDE, named))


def _pick(connection: Connection, pick: Pick) -> None:
    insert = upsert(connection, EXPERIMENT_PICKS)
    said = {"variant": pick.variant, "after": pick.after, "confidence": pick.confidence}
    insert = insert.on_conflict_do_update(index_elements=[_P.experiment], set_={name: insert.excluded[name] for name in said})
    connection.execute(insert, {"experiment": pick.experiment, **said})


def _picked(row: Row[Any]) -> Pick:
    return Pick(row.experiment, row.variant, row.after, row.confidence)
