"""A SQLite file: one writer with group commit, and readers beside it (WAL)."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

from sqlalchemy import Connection, event
from sqlalchemy.engine import URL
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from broker.store.failures import translate, translate_opening, translated
from broker.store.writer import GroupWriter

__all__ = ["SqliteDatabase"]

_READERS: Final = 4
# How long SQLite itself waits for another process before it says busy.
_BUSY_TIMEOUT_S: Final = 5.0
_PRAGMAS: Final = (
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",  # a commit is on the disk when it is answered
    "PRAGMA foreign_keys = ON",
    "PRAGMA temp_store = MEMORY",
    "PRAGMA cache_size = -32768",  # KiB
)

T = TypeVar("T")


class SqliteDatabase:
    """A file that may be shared with other processes of this machine."""

    def __init__(self, file: Path) -> None:
        # The writer takes the lock at its start: a transaction that reads first and then wants to write could find that
        # another process has written meanwhile, and would have to begin again.
        self._write_engine = _make_engine(file, "BEGIN IMMEDIATE", connections=1)
        self._read_engine = _make_engine(file, "BEGIN", connections=_READERS)
        self._writer = GroupWriter(self._write_engine)

    async def prepare(self, work: Callable[[Connection], None]) -> None:
        """Run the first transaction of all; see `open_store` for what it raises."""
        with translated(translate_opening):
            async with self._write_engine.begin() as connection:
                await connection.run_sync(work)

    async def read(self, work: Callable[[Connection], T]) -> T:
        # A task of its own, since the pool's waiting asks for the current task and callers may have none.
        return await asyncio.get_running_loop().create_task(self._read(work), name="store:read")

    async def _read(self, work: Callable[[Connection], T]) -> T:
        with translated(translate):
            async with self._read_engine.connect() as connection:
                return await connection.run_sync(work)

    async def write(self, work: Callable[[Connection], T], after: Callable[[T], None] | None = None) -> T:
        return await self._writer.write(work, after)

    async def close(self) -> None:
        await self._writer.close()
        await self._read_engine.dispose()
        await self._write_engine.dispose()


def _make_engine(file: Path, begin: str, *, connections: int) -> AsyncEngine:
    url = URL.create("sqlite+aiosqlite", database=str(file))
    engine = create_async_engine(
        url, pool_size=connections, max_overflow=0, connect_args={"timeout": _BUSY_TIMEOUT_S, "isolation_level": None}
    )

    @event.listens_for(engine.sync_engine, "connect")
    def prepare(connection: Any, _record: Any) -> None:
        cursor = connection.cursor()
        for pragma in _PRAGMAS:
            cursor.execute(pragma)
        cursor.close()

    # The driver's own way of beginning transactions is switched off by its isolation level: it begins too late, and ends
    # them before statements that it does not know.
    @event.listens_for(engine.sync_engine, "begin")
    def start(connection: Connection) -> None:
        connection.exec_driver_sql(begin)

    return engine
