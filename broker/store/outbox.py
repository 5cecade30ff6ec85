"""The outbox as a source of events: one connection that listens, locks, reads and settles.

A batch is one transaction: it locks some partitions (an advisory lock each, that ends with the transaction), reads their first
rows, stays open while the calls are made, and deletes what was done. So a process that dies gives everything back at once and
nothing else happens to its rows; there are no leases, and no clock decides who owns a key. Locks on partitions instead of rows
keep the order: with SKIP LOCKED on rows, the second row of a key would pass the first, which somebody else is at.

Notifications that arrive during a batch are delivered after it; then the next look is taken at once anyway.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from typing import Any, Final

import asyncpg

from broker.bell import Bell
from broker.errors import BadInput, StoreUnavailable
from broker.event_source import Again, Backlog, Dead, Item, Settled
from broker.store.address import PostgresAddress, parse_address
from broker.store.failures import opening_of, translate, translated
from broker.store.outbox_table import PARTITIONS, channel_of, check_table
from broker.store.postgresql import connect_arguments
from config.clock import Clock

__all__ = ["OutboxTable"]

# How many partitions one batch holds at most: enough to fill it, few enough that other nodes find some.
_HELD_AT_ONCE: Final = 8
# How many rows of a partition are looked at; behind that many rows of keys that wait for a retry, others wait with them.
_WINDOW: Final = 200
_CONNECT_TIMEOUT_S: Final = 2.0
_COMMAND_TIMEOUT_S: Final = 5.0
# A process that hangs in the middle of a batch loses it to others after this long.
_IDLE_LIMIT_S: Final = 60
# An outbox is full and empty by turns, so plans go by the indexes whatever the statistics say.
_SESSION: Final = {
    "application_name": "heliograph outbox",
    "idle_in_transaction_session_timeout": str(_IDLE_LIMIT_S * 1000),
    "enable_seqscan": "off",
    "enable_bitmapscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "jit": "off",
}

_LOOK: Final = "SELECT id, method, payload, key, created_at, attempts, retry_at, partition FROM {table} LIMIT 0"
# A table may have a column for W3C's `traceparent`, or not.
_LOOK_FOR_TRACE: Final = "SELECT traceparent FROM {table} LIMIT 0"
_LOOK_AT_DEAD: Final = "SELECT id, method, payload, key, created_at, attempts, reason, died_at FROM {table}_dead LIMIT 0"
# Materialized, so that locks are tried for one partition after the other, and no more of them than are wanted.
_LOCK: Final = f"""
WITH filled AS MATERIALIZED (
    SELECT number FROM generate_series(0, {PARTITIONS - 1}) AS number
    WHERE EXISTS (
        SELECT FROM (SELECT key FROM {{table}} WHERE partition = number ORDER BY id LIMIT {_WINDOW}) AS first
        WHERE NOT EXISTS (SELECT FROM {{table}} AS held WHERE held.key = first.key AND held.retry_at > $2)
    )
    ORDER BY random()
)
SELECT number FROM filled WHERE pg_try_advisory_xact_lock(hashtext($1), number) LIMIT {_HELD_AT_ONCE}
"""  # noqa: S608 (the name of the table is checked)
_READ: Final = f"""
SELECT first.id, first.method, first.payload::text AS payload, first.key, first.created_at, first.attempts, {{trace}} AS trace
FROM unnest($1::integer[]) AS mine (number)
CROSS JOIN LATERAL (SELECT * FROM {{table}} WHERE partition = mine.number ORDER BY id LIMIT {_WINDOW}) AS first
WHERE NOT EXISTS (SELECT FROM {{table}} AS held WHERE held.key = first.key AND held.retry_at > $2)
ORDER BY first.id
LIMIT $3
"""  # noqa: S608
_DELETE: Final = "DELETE FROM {table} WHERE id = ANY ($1::bigint[])"
_BURY: Final = """
WITH gone AS (DELETE FROM {table} WHERE id = ANY ($1::bigint[]) RETURNING *)
INSERT INTO {table}_dead (id, method, payload, key, created_at, attempts, reason)
SELECT gone.id, gone.method, gone.payload, gone.key, gone.created_at, gone.attempts + 1, why.reason
FROM gone JOIN unnest($1::bigint[], $2::text[]) AS why (id, reason) ON why.id = gone.id
"""
_PUT_OFF: Final = """
UPDATE {table} SET retry_at = later.at, attempts = attempts + later.count
FROM unnest($1::bigint[], $2::timestamptz[], $3::integer[]) AS later (id, at, count)
WHERE {table}.id = later.id
"""
# Counted up to a bound: beyond it, "very many" is all that anybody needs to know.
_BACKLOG: Final = """
SELECT count(*) AS items, min(created_at) AS oldest_at FROM (SELECT created_at FROM {table} ORDER BY id LIMIT 100000) AS waiting
"""


class OutboxTable:
    """Implements `broker.event_source.EventSource`; keeps the order of each key, over all nodes.

    Args:
        url: Address of the database, as `store.url` spells it.
    Raises:
        BadInput: Naming the setting (`dsn` or `outbox_table_name`) that is wrong.
    """

    def __init__(self, url: str, table: str, clock: Clock) -> None:
        try:
            address = parse_address(url)
        except BadInput as exc:
            raise BadInput("dsn", exc.rule) from None
        if not isinstance(address, PostgresAddress):
            raise BadInput("dsn", "must begin with postgresql://, for an outbox is a table of PostgreSQL")
        self._url = address.url
        self._table = check_table(table)
        self._clock = clock
        self._bell = Bell(clock)
        self._connection: Any = None
        self._trace = "''"  # what tells a row's trace

    async def open(self) -> None:
        try:
            with translated(opening_of(self._url)):
                connection = await self._connected()
                await connection.execute(self._sql(_LOOK))
                await connection.execute(self._sql(_LOOK_AT_DEAD))
                with suppress(asyncpg.UndefinedColumnError):
                    await connection.execute(self._sql(_LOOK_FOR_TRACE))
                    self._trace = "coalesce(first.traceparent, '')"
        except BadInput as exc:
            raise BadInput("dsn", exc.rule) from exc
        except (asyncpg.UndefinedTableError, asyncpg.UndefinedColumnError, asyncpg.InvalidSchemaNameError) as exc:
            rule = f"names no table {self._table} of the right form: `heliograph db outbox` prints how to make it"
            raise BadInput("outbox_table_name", rule) from exc

    async def fetch(self, limit: int) -> Sequence[Item]:
        with translated(translate):
            async with self._whole() as connection:
                if connection.is_in_transaction():  # of a batch that nobody settled
                    await connection.execute("ROLLBACK")
                self._bell.silence()  # whoever rings from now on may mean a row that is not seen
                await connection.execute("BEGIN")
                now = self._clock.now()
                numbers = [row["number"] for row in await connection.fetch(self._sql(_LOCK), self._table, now)]
                # A statement sees what was committed before it began: after the locks, all that their last holders did.
                rows = await connection.fetch(self._sql(_READ), numbers, now, limit) if numbers else ()
                if not rows:
                    await connection.execute("ROLLBACK")
                return [_item(row) for row in rows]

    async def settle(self, settled: Sequence[Settled]) -> None:
        if self._connection is None or self._connection.is_closed() or not self._connection.is_in_transaction():
            raise StoreUnavailable("the connection ended, and with it what was fetched")
        with translated(translate):
            async with self._whole() as connection:
                await self._write(connection, settled)
                await connection.execute("COMMIT")

    async def wait(self, seconds: float) -> None:
        await self._bell.wait_for(seconds)

    async def backlog(self) -> Backlog:
        with translated(translate):
            row = await (await self._connected()).fetchrow(self._sql(_BACKLOG))
        return Backlog(row["items"], row["oldest_at"])

    async def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
                await connection.close(timeout=_CONNECT_TIMEOUT_S)

    async def _write(self, connection: Any, settled: Sequence[Settled]) -> None:
        done: list[int] = []
        dead: list[tuple[int, str]] = []
        later: list[tuple[int, Any, int]] = []
        for item, end in settled:
            match end:
                case Dead(reason):
                    dead.append((int(item.id), reason.replace("\0", "")))
                case Again(delay_s, counts):
                    later.append((int(item.id), self._clock.now() + timedelta(seconds=delay_s), int(counts)))
                case _:
                    done.append(int(item.id))
        if done:
            await connection.execute(self._sql(_DELETE), done)
        if dead:
            await connection.execute(self._sql(_BURY), *map(list, zip(*dead, strict=True)))
        if later:
            await connection.execute(self._sql(_PUT_OFF), *map(list, zip(*later, strict=True)))

    @asynccontextmanager
    async def _whole(self) -> AsyncIterator[Any]:
        """Give the connection for steps that belong together; broken off in the middle, it is not trusted any more."""
        connection = await self._connected()
        try:
            yield connection
        except BaseException:
            connection.terminate()
            raise

    async def _connected(self) -> Any:
        """Give the connection, a new one where it has ended."""
        if self._connection is None or self._connection.is_closed():
            self._connection = connection = await asyncpg.connect(
                **connect_arguments(self._url),
                timeout=_CONNECT_TIMEOUT_S,
                command_timeout=_COMMAND_TIMEOUT_S,
                server_settings=_SESSION,
            )
            connection.add_termination_listener(lambda _: self._bell.ring())
            await connection.add_listener(channel_of(self._table), lambda *_: self._bell.ring())
        return self._connection

    def _sql(self, text: str) -> str:
        return text.format(table=self._table, trace=self._trace)


def _item(row: Any) -> Item:
    # A sequence may be set back, so the id alone does not name a row for ever.
    token = f"{row['id']}:{row['created_at'].timestamp():.6f}"
    payload, trace = row["payload"].encode(), row["trace"]
    return Item(str(row["id"]), row["method"], payload, row["key"], row["attempts"] + 1, token, trace=trace)
