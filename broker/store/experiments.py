"""What experiments came to, counted on SQL; and what was picked of them."""

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import Connection, Row, bindparam, case, delete, exists, func, literal_column, select, tuple_, update

from broker.experiments import Counted, Pick, Place, VariantResult, add_up
from broker.notification import Outcome, State
from broker.store.database import Database
from broker.store.dialect import upsert
from broker.store.experiment_table import EXPERIMENT_PICKS
from broker.store.schema import ENTRIES, NOTIFICATIONS
from broker.store.texts import check_name, is_name

__all__ = ["SqlExperiments"]

# How many notifications are counted in one transaction.
_AT_ONCE: Final = 5000

_N: Final = NOTIFICATIONS.c
_TOLD: Final = (Outcome.PUBLISHED.value, Outcome.ACCEPTED.value)
_WAS_TOLD: Final = exists().where(ENTRIES.c.notification_id == _N.id, ENTRIES.c.outcome.in_(_TOLD)).correlate(NOTIFICATIONS)
_COUNTED: Final = (
    select(_N.id, _N.variant, _N.state, case((_WAS_TOLD, 1), else_=0).label("told"))
    # The second condition is that of the partial index, without which SQLite would not use it.
    .where(_N.experiment == bindparam("experiment"), _N.experiment != literal_column("''"))
    .where(tuple_(_N.variant, _N.id) > tuple_(bindparam("after_variant"), bindparam("after_id")))
    .order_by(_N.variant, _N.id)
    .limit(bindparam("most"))
    .subquery()
)
_PIECE: Final = (
    select(
        _COUNTED.c.variant,
        func.max(_COUNTED.c.id).label("last"),
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
    select(EXPERIMENT_PICKS)
    .where(_P.variant == literal_column("''"), _P.experiment > bindparam("after"))
    .order_by(_P.experiment)
    .limit(bindparam("most"))
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
        results: tuple[VariantResult, ...] = ()
        place: Place | None = Place()
        while place is not None:
            counted = await self.count(experiment, after=place, limit=_AT_ONCE)
            results, place = add_up((*results, *counted.results)), counted.then
        return results

    async def count(self, experiment: str, *, after: Place, limit: int) -> Counted:
        if not is_name(experiment):
            return Counted((), None)
        asked = {"experiment": experiment, "after_variant": after.variant, "after_id": after.notification_id, "most": limit}
        rows = await self._database.read(lambda connection: connection.execute(_PIECE, asked).all())
        results = tuple(
            VariantResult(row.variant, int(row.total), int(row.sent), int(row.acknowledged), row.held_out > 0) for row in rows
        )
        is_last = sum(result.total for result in results) < limit
        return Counted(results, None if is_last else Place(rows[-1].variant, rows[-1].last))

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

    async def undecided(self, *, after: str = "", limit: int) -> Sequence[Pick]:
        asked = {"after": after, "most": limit}
        rows = await self._database.read(lambda connection: connection.execute(_UNDECIDED, asked).all())
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
