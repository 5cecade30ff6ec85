"""PostgreSQL that is slow or silent: callers wait a bounded time, and no commit is cut in half."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from sqlalchemy import make_url, text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from broker.errors import StoreUnavailable
from broker.store.address import PostgresAddress, parse_address
from broker.store.postgresql import PostgresDatabase
from broker.store.store import Store, open_store
from config.clock import ManualClock
from config.settings import StoreSettings

pytestmark = pytest.mark.postgres

HOLD = text("SELECT 1 FROM steps WHERE notification_id = :id FOR UPDATE")


@pytest.fixture
def engine() -> str:
    return "postgresql"


@pytest.fixture
async def server(store: Store, store_url: str) -> AsyncIterator[AsyncEngine]:
    """Connections of our own beside the store's."""
    engine = create_async_engine(make_url(store_url).set(drivername="postgresql+asyncpg"))
    yield engine
    await engine.dispose()


@pytest.fixture
async def open_with(store_url: str, clock: ManualClock) -> AsyncIterator[Callable[..., Any]]:
    """Open the store with settings of its own."""
    stores: list[Store] = []

    async def open_one(**settings: Any) -> Store:
        stores.append(await open_store(store_url, clock=clock, settings=StoreSettings(**settings)))
        return stores[-1]

    yield open_one
    for store in stores:
        await store.close()


async def test_who_waits_too_long_is_told_and_the_commit_still_comes(
    server: AsyncEngine, open_with: Callable[..., Any], make_draft: Callable[..., Any]
) -> None:
    store = await open_with(answer_timeout="100ms")
    (one,) = await store.ledger.accept(make_draft("ann"))
    async with server.begin() as connection:
        await connection.execute(HOLD, {"id": one.id})
        with pytest.raises(StoreUnavailable, match="in time"):
            await store.ledger.acknowledge(one.id, "ann")
    await store.close()  # waits for what is under way
    again = await open_with()
    assert (await again.ledger.status(one.id)).notification.state == "acknowledged"


async def test_the_server_ends_statements_that_take_too_long(
    server: AsyncEngine, open_with: Callable[..., Any], make_draft: Callable[..., Any]
) -> None:
    store = await open_with(answer_timeout="60s", statement_timeout="100ms")
    (one,) = await store.ledger.accept(make_draft("ann"))
    async with server.begin() as connection:
        await connection.execute(HOLD, {"id": one.id})
        with pytest.raises(StoreUnavailable, match="could not"):
            await store.ledger.acknowledge(one.id, "ann")
    assert (await store.ledger.status(one.id)).notification.state == "pending"
    assert await store.ledger.acknowledge(one.id, "ann") == "acknowledged"


async def test_where_all_connections_are_taken_others_wait_a_bounded_time(
    server: AsyncEngine, open_with: Callable[..., Any], make_draft: Callable[..., Any]
) -> None:
    store = await open_with(pool_size=1, pool_timeout="100ms", answer_timeout="60s")
    (one,) = await store.ledger.accept(make_draft("ann"))
    async with server.begin() as connection:
        await connection.execute(HOLD, {"id": one.id})
        waiting = asyncio.ensure_future(store.ledger.acknowledge(one.id, "ann"))
        with pytest.raises(StoreUnavailable):
            while True:  # until the one before has taken the connection
                await store.ledger.next_due()
                await asyncio.sleep(0)
    assert await waiting == "acknowledged"
    assert await store.ledger.next_due() is None


async def test_a_session_brings_its_limits_to_the_server(store_url: str) -> None:
    address = parse_address(store_url)
    assert isinstance(address, PostgresAddress)
    settings = StoreSettings(statement_timeout="2500ms", idle_in_transaction_timeout="7s")
    database = PostgresDatabase(address.url, settings)
    limits = [
        await database.read(lambda connection, name=name: connection.execute(text(f"SHOW {name}")).scalar_one())
        for name in ("statement_timeout", "idle_in_transaction_session_timeout")
    ]
    await database.close()
    assert limits == ["2500ms", "7s"]


async def test_a_server_that_says_nothing_is_given_up(clock: ManualClock) -> None:
    ended = asyncio.Event()

    async def say_nothing(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await ended.wait()
        writer.close()

    listener = await asyncio.start_server(say_nothing, "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    settings = StoreSettings(connect_timeout="100ms")
    with pytest.raises(StoreUnavailable, match=f"no PostgreSQL server answers at 127.0.0.1:{port} \\(it took too long\\)"):
        await open_store(f"postgresql://u:s3cret@127.0.0.1:{port}/d", clock=clock, settings=settings)
    ended.set()
    listener.close()
    await listener.wait_closed()
