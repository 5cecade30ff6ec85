"""A PostgreSQL database: a pool of connections, a transaction per write.

Who waits for it waits a bounded time, whatever the server does. A caller whose patience ends is told that the store did not
answer; the transaction itself goes on until the server or the driver ends it, so that a commit is never cut in half by a clock.
"""

import asyncio
from collections.abc import Callable
from typing import Any, Final, TypeVar

from sqlalchemy import Connection, NullPool, event
from sqlalchemy.engine import URL
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.ext.asyncio import create_async_engine

from broker.errors import StoreUnavailable
from broker.store.failures import opening_of, translate, translated
from config.settings import StoreSettings

__all__ = ["PostgresDatabase", "connect_arguments"]

# A queue is empty and full by turns, so what the planner knows of its size is mostly wrong. Every query of the store goes by an
# index, a bounded number of rows at a time; planned otherwise, a claim reads and sorts all that is due (measured: 34 ms instead
# of 0.7 ms with 6,000 steps due, growing with their number).
_SESSION: Final = {
    "application_name": "heliograph",
    "enable_bitmapscan": "off",
    "enable_seqscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "jit": "off",
}
# How much later than the server the driver gives a statement up: the server's own answer keeps the connection usable.
_GRACE_S: Final = 1.0

T = TypeVar("T")


def connect_arguments(url: URL) -> dict[str, Any]:
    """Tell how asyncpg connects to an address."""
    return dict(url.get_dialect()().create_connect_args(url)[1])


class PostgresDatabase:
    """A server that may be shared with any number of processes."""

    def __init__(self, url: URL, settings: StoreSettings) -> None:
        self._url, self._settings = url, settings
        self._is_closed = False
        self._tasks: set[asyncio.Task[Any]] = set()  # the transactions under way
        self._engine = create_async_engine(
            url,
            pool_size=settings.pool_size,
            max_overflow=0,
            pool_timeout=settings.pool_timeout,
            hide_parameters=True,  # an error is logged, and what was to be stored is nobody's to read there
            connect_args={
                "timeout": settings.connect_timeout,
                "command_timeout": settings.statement_timeout + _GRACE_S,
                "server_settings": {
                    **_SESSION,
                    "statement_timeout": _milliseconds(settings.statement_timeout),
                    "idle_in_transaction_session_timeout": _milliseconds(settings.idle_in_transaction_timeout),
                },
            },
        )

        # A connection that a restarted server has ended is replaced before it is used, without asking the server each time.
        @event.listens_for(self._engine.sync_engine, "checkout")
        def check(connection: Any, _record: Any, _proxy: Any) -> None:
            if connection.driver_connection.is_closed():
                raise DisconnectionError

    async def prepare(self, work: Callable[[Connection], T]) -> T:
        """Run the first transaction of all, which may take its time; see `open_store` for what it raises."""
        # Not on a connection of the pool: to change tables, and to wait for others who do, has no limit.
        engine = create_async_engine(
            self._url, poolclass=NullPool, hide_parameters=True, connect_args={"timeout": self._settings.connect_timeout}
        )
        with translated(opening_of(self._url)):
            async with engine.begin() as connection:
                return await connection.run_sync(work)

    async def read(self, work: Callable[[Connection], T]) -> T:
        task = self._start(work, None, "store:read")
        try:
            return await self._answer(task)
        except (asyncio.CancelledError, StoreUnavailable):
            task.cancel()  # nobody wants to know any more, and it changes nothing
            raise

    async def write(
        self,
        work: Callable[[Connection], T],
        after: Callable[[T], None] | None = None,
        *,
        rows: int = 1,
        urgent: bool = False,
    ) -> T:
        # The transaction outlives a cancelled caller; `close` waits for it.
        return await self._answer(self._start(work, after, "store:write"))

    async def close(self) -> None:
        self._is_closed = True
        if self._tasks:
            await asyncio.wait(tuple(self._tasks))
        await self._engine.dispose()

    def _start(self, work: Callable[[Connection], T], after: Callable[[T], None] | None, name: str) -> asyncio.Task[T]:
        """Begin a transaction in a task of its own: the driver asks for the current task, and a caller may have none."""
        if self._is_closed:
            raise StoreUnavailable("the store is closed")
        task = asyncio.get_running_loop().create_task(self._run(work, after), name=name)
        self._tasks.add(task)
        task.add_done_callback(self._finished)
        return task

    async def _answer(self, task: asyncio.Task[T]) -> T:
        """Wait for a transaction, but not for ever."""
        await asyncio.wait({task}, timeout=self._settings.answer_timeout)
        if not task.done():
            raise StoreUnavailable("the store did not answer in time")
        return task.result()

    def _finished(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # whoever waited has been told; where nobody did, nobody is to be told

    async def _run(self, work: Callable[[Connection], T], after: Callable[[T], None] | None) -> T:
        with translated(translate):
            async with self._engine.begin() as connection:
                answer = await connection.run_sync(work)
        if after is not None:
            after(answer)
        return answer


def _milliseconds(seconds: float) -> str:
    return str(max(1, round(seconds * 1000)))
