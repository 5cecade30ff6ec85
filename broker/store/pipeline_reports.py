"""What pipelines say of themselves, on SQL: a row per process, written over by it."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Final

import msgspec
from sqlalchemy import Connection, bindparam, delete, select

from broker.pipeline_reports import PipelineReport
from broker.store import dialect
from broker.store.database import Database
from broker.store.moments import to_micros
from broker.store.pipeline_table import PIPELINES
from config.clock import Clock

__all__ = ["SqlPipelineReports"]

_P: Final = PIPELINES.c
_FORGOTTEN_AFTER: Final = timedelta(seconds=30)
_REPORT: Final = msgspec.json.Decoder(PipelineReport)
_PRESENT: Final = select(_P.body).where(_P.seen_at >= bindparam("seen_since"))
_FORGET: Final = delete(PIPELINES).where(_P.seen_at < bindparam("seen_since"))
_REMOVE: Final = delete(PIPELINES).where(_P.worker == bindparam("of_worker"))


class SqlPipelineReports:
    """Implements `broker.pipeline_reports.PipelineReports`."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database, self._clock = database, clock

    async def report(self, report: PipelineReport) -> None:
        row = {"worker": report.worker, "seen_at": to_micros(self._clock.now()), "body": msgspec.json.encode(report)}
        forgotten = {"seen_since": self._seen_since()}

        def work(connection: Connection) -> None:
            insertion = dialect.upsert(connection, PIPELINES).values(row)
            connection.execute(insertion.on_conflict_do_update(index_elements=[_P.worker], set_=row))
            connection.execute(_FORGET, forgotten)

        await self._database.write(work)

    async def present(self) -> Sequence[PipelineReport]:
        asked = {"seen_since": self._seen_since()}
        bodies = await self._database.read(lambda connection: connection.execute(_PRESENT, asked).scalars().all())
        return sorted(map(_REPORT.decode, bodies), key=lambda report: (report.name, report.worker))

    async def withdraw(self, worker: str) -> None:
        await self._database.write(lambda connection: connection.execute(_REMOVE, {"of_worker": worker}))

    def _seen_since(self) -> int:
        return to_micros(self._clock.now() - _FORGOTTEN_AFTER)
