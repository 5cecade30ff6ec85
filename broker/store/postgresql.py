"""A PostgreSQL database: a pool of connections, a transaction per write."""

import asyncio
from collections.abc import Callable
from typing import Final, TypeVar

from sqlalchemy import Connection
from sqlalchemy.engine import URL
from sqlalchemy.ext.asyncio import create_async_engine

from broker.completion import to_completion
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
        self._engine = create_async_engine(
            url,
            pool_size=_CONNECTIONS,
            max_overflow=0,
            pool_timeout=_POOL_TIMEOUT_S,
            pool_pre_ping=True,  # a connection that a restarted server left behind is replaced before it is used
            connect_args={
                "timeout": _CONNECT_TIMEOUT_S,
                "command_timeout": _COMMAND_TIMEOUT_S,
                "server_settings": _SESSION,
            },
        )

    async def prepare(self, work: Callable[[Connection], None]) -> None:
        """Run the first transaction of all; see `open_store` for what it raises."""
        with translated(translate_opening):
            async with self._engine.begin() as connection:
                await connection.run_sync(work)

    async def read(self, work: Callable[[Connection], T]) -> T:
        # A task of its own, since the driver's timeouts ask for the current task and callers may have none.
        return await asyncio.get_running_loop().create_task(self._run(work, None), name="store:read")

    async def write(self, work: Callable[[Connection], T], after: Callable[[T], None] | None = None) -> T:
        return await to_completion(self._run(work, after), name="store:write")

    async def _run(self, work: Callable[[Connection], T], after: Callable[[T], None] | None) -> T:
        if self._is_closed:
            raise StoreUnavailable("the store is closed")
        with translated(translate):
            async with self._engine.begin() as connection:
                answer = await connection.run_sync(work)
        if after is not None:
            after(answer)
        return answer

    async def close(self) -> None:
        self._is_closed = True
        await self._engine.dispose()
