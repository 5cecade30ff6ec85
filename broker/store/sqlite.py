"""A SQLite file: one writer with group commit, and readers beside it (WAL).

SQLite is called from threads of the store's own, a whole transaction at a time. Through an asynchronous driver each statement
costs several turns between loop and thread: measured, five times the processor time of the statement itself.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final, TypeVar

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL

from broker.errors import StoreUnavailable
from broker.store.checkpoints import LONGEST_LOG_PAGES, Checkpoints
from broker.store.failures import translate, translate_opening, translated
from broker.store.writer import GroupWriter

__all__ = ["SqliteDatabase"]

_READERS: Final = 4
# What each connection may keep of the file in memory. The writer touches all of the queue, readers a few rows each.
_WRITER_CACHE_KIB: Final = 32 * 1024
_READER_CACHE_KIB: Final = 4 * 1024
_PRAGMAS: Final = (
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",  # a commit is on the disk when it is answered
    f"PRAGMA wal_autocheckpoint = {LONGEST_LOG_PAGES}",
    "PRAGMA foreign_keys = ON",
    "PRAGMA temp_store = MEMORY",
)

T = TypeVar("T")


class SqliteDatabase:
    """A file that may be shared with other processes of this machine.

    Args:
        busy_timeout_s: How long SQLite itself waits for another process before it says busy.
        opening_timeout_s: The same for the first transaction, where another process may bring the tables up to date.
    """

    def __init__(self, file: Path, *, busy_timeout_s: float = 5.0, opening_timeout_s: float = 30.0) -> None:
        self._busy_timeout_s, self._opening_timeout_s = busy_timeout_s, opening_timeout_s
        # The writer takes the lock at its start: a transaction that reads first and then wants to write could find that
        # another process has written meanwhile, and would have to begin again.
        self._write_engine = _make_engine(
            file, "BEGIN IMMEDIATE", connections=1, cache_kib=_WRITER_CACHE_KIB, busy_timeout_s=busy_timeout_s
        )
        self._read_engine = _make_engine(
            file, "BEGIN", connections=_READERS, cache_kib=_READER_CACHE_KIB, busy_timeout_s=busy_timeout_s
        )
        self._read_threads = ThreadPoolExecutor(_READERS, "store-reader")
        self._checkpoints = Checkpoints(file)
        self._writer = GroupWriter(self._commit)
        self._is_closed = False

    async def prepare(self, work: Callable[[Connection], T]) -> T:
        """Run the first transaction of all; see `open_store` for what it raises."""
        with translated(translate_opening):
            return await asyncio.get_running_loop().run_in_executor(self._read_threads, self._prepare, work)

    def _prepare(self, work: Callable[[Connection], T]) -> T:
        _wait_for_others(self._write_engine, self._opening_timeout_s)
        try:
            return _run(self._write_engine, work)
        finally:
            _wait_for_others(self._write_engine, self._busy_timeout_s)

    async def read(self, work: Callable[[Connection], T]) -> T:
        if self._is_closed:
            raise StoreUnavailable("the store is closed")
        with translated(translate):
            return await asyncio.get_running_loop().run_in_executor(self._read_threads, _run, self._read_engine, work)

    async def write(
        self,
        work: Callable[[Connection], T],
        after: Callable[[T], None] | None = None,
        *,
        rows: int = 1,
        urgent: bool = False,
    ) -> T:
        return await self._writer.write(work, after, rows=rows, urgent=urgent)

    def _commit(self, work: Callable[[Connection], T]) -> T:
        answer = _run(self._write_engine, work)
        self._checkpoints.note_commit()
        return answer

    async def close(self) -> None:
        await self._writer.close()
        self._is_closed = True
        await asyncio.to_thread(self._checkpoints.close)
        await asyncio.to_thread(self._read_threads.shutdown)
        self._read_engine.dispose()
        self._write_engine.dispose()


def _run(engine: Engine, work: Callable[[Connection], T]) -> T:
    with engine.begin() as connection:
        return work(connection)


def _wait_for_others(engine: Engine, seconds: float) -> None:
    """Say how long the one connection of an engine waits for locks. Outside of transactions, as beginning one waits."""
    with engine.connect() as connection:
        connection.connection.cursor().execute(f"PRAGMA busy_timeout = {round(seconds * 1000)}")


def _make_engine(file: Path, begin: str, *, connections: int, cache_kib: int, busy_timeout_s: float) -> Engine:
    engine = create_engine(
        URL.create("sqlite", database=str(file)),
        pool_size=connections,
        max_overflow=0,
        connect_args={"timeout": busy_timeout_s, "isolation_level": None},
        hide_parameters=True,  # an error is logged, and what was to be stored is nobody's to read there
    )

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, _record: Any) -> None:
        for pragma in (*_PRAGMAS, f"PRAGMA cache_size = -{cache_kib}"):
            connection.execute(pragma)

    # The driver's own way of beginning transactions is switched off by its isolation level: it begins too late, and ends
    # them before statements that it does not know.
    @event.listens_for(engine, "begin")
    def start(connection: Connection) -> None:
        connection.exec_driver_sql(begin)

    return engine
