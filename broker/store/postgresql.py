"""A PostgreSQL database: a pool of connections, a transaction per write."""

import asyncio
from collections.abc import Callable
from typing import Any, Final, TypeVar

from sqlalchemy import Connection, event
from sqlalchemy.engine import URL
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.ext.asyncio import create_async_engine

from broker.errors import StoreUnavailable
from broker.store.failures import translate, translate_opening, translated

__all__ = ["PostgresDatabase"]

_CONNECTIONS: Final = 8
_CONNECT_TIMEOUT_S: Final = 3.0
_POOL_TIMEOUT_S: Final = 5.0
_COMMAND_TIMEOUT_S: Final = 10.0
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

T = TypeVar("T")


class PostgresDatabase:
    """A server that may be shared with any number of processes."""

    def __init__(self, url: URL) -> None:
        self._is_closed = False
        self._tasks: set[asyncio.Task[Any]] = set()  # the transactions under way
        self._engine = create_async_engine(
            url,
            pool_size=_CONNECTIONS,
            max_overflow=0,
            pool_timeout=_POOL_TIMEOUT_S,
            connect_args={
                "timeout": _CONNECT_TIMEOUT_S,
                "command_timeout": _COMMAND_TIMEOUT_S,
                "server_settings": _SESSION,
            },
        )

        # A connection that a restarted server has ended is replaced before it is used, without asking the server each time.
        @event.listens_for(self._engine.sync_engine, "checkout")
        def check(connection: Any, _record: Any, _proxy: Any) -> None:
            if connection.driver_connection.is_closed():
                raise DisconnectionError

    async def prepare(self, work: Callable[[Connection], None]) -> None:
        """Run the first transaction of all; see `open_store` for what it raises."""
        with translated(translate_opening):
            async with self._engine.begin() as connection:
                await connection.run_sync(work)

    async def read(self, work: Callable[[Connection], T]) -> T:
        return await self._start(work, None, "store:read")

    async def write(self, work: Callable[[Connection], T], after: Callable[[T], None] | None = None) -> T:
        # Shielded, so that the transaction outlives a cancelled caller; `close` waits for it.
        return await asyncio.shield(self._start(work, after, "store:write"))

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
        task.add_done_callback(self._tasks.discard)
        return task

    async def _run(self, work: Callable[[Connection], T], after: Callable[[T], None] | None) -> T:
        with translated(translate):
            async with self._engine.begin() as connection:
                answer = await connection.run_sync(work)
        if after is not None:
            after(answer)
        return answer
