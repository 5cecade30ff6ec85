"""Opening and closing a store, on every database: its tables, what it keeps, and what it says when it cannot."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import create_engine, make_url, text
from sqlalchemy.ext.asyncio import create_async_engine

from broker.errors import BadInput, StoreUnavailable
from broker.store.schema import METADATA
from broker.store.store import Store, open_store
from config.clock import ManualClock, settle


@pytest.fixture
def store_url(new_url: str) -> str:
    """Tables are what this is about, so nobody makes them before."""
    return new_url


async def on_connection(url: str, work: Callable[[Any], Any]) -> Any:
    """Run `work` on a connection of its own, beside the store."""
    address = make_url(url)
    if address.drivername == "sqlite":
        engine = create_engine(address)
        with engine.begin() as connection:
            answer = work(connection)
        engine.dispose()
        return answer
    async_engine = create_async_engine(address.set(drivername="postgresql+asyncpg"))
    async with async_engine.begin() as connection:
        answer = await connection.run_sync(work)
    await async_engine.dispose()
    return answer


async def test_the_migrations_lead_to_the_schema(store: Store, store_url: str) -> None:
    assert await on_connection(store_url, lambda c: compare_metadata(MigrationContext.configure(c), METADATA)) == []


async def test_what_was_stored_is_there_when_it_is_opened_again(
    store: Store, open_another: Callable[[], Awaitable[Store]], make_draft: Callable[..., Any]
) -> None:
    (one,) = await store.ledger.accept(make_draft("ann"))
    await store.close()
    again = await open_another()
    assert (await again.ledger.status(one.id)).notification.user == "ann"


async def test_several_open_it_at_the_same_time(
    open_another: Callable[[], Awaitable[Store]], together: Callable[..., Awaitable[list[Any]]]
) -> None:
    stores = await together(*(open_another() for _ in range(4)))
    assert [type(one) for one in stores] == [Store] * 4


async def test_closing_twice_is_no_error_and_later_calls_are_refused(store: Store, make_draft: Callable[..., Any]) -> None:
    await store.close()
    await store.close()
    with pytest.raises(StoreUnavailable):
        await store.ledger.accept(make_draft("ann"))
    with pytest.raises(StoreUnavailable):
        await store.ledger.next_due()


async def test_what_is_under_way_is_finished_before_it_closes(
    store: Store,
    open_another: Callable[[], Awaitable[Store]],
    make_draft: Callable[..., Any],
    together: Callable[..., Awaitable[list[Any]]],
) -> None:
    *answers, _ = await together(*(store.ledger.accept(make_draft(user)) for user in "abc"), store.close())
    again = await open_another()
    for (one,), user in zip(answers, "abc", strict=True):
        assert (await again.ledger.status(one.id)).notification.user == user


async def test_a_database_of_a_newer_version_is_refused_and_untouched(store: Store, store_url: str, clock: ManualClock) -> None:
    await store.close()
    await on_connection(store_url, lambda c: c.execute(text("UPDATE alembic_version SET version_num = '9999'")))
    with pytest.raises(BadInput, match="newer version") as refused:
        await open_store(store_url, clock=clock)
    assert refused.value.field == "store.url"
    read = "SELECT version_num FROM alembic_version"
    assert await on_connection(store_url, lambda c: c.execute(text(read)).scalar_one()) == "9999"


@pytest.mark.postgres
async def test_a_database_that_does_not_exist_is_named_as_such(postgres_server: Any, clock: ManualClock) -> None:
    with pytest.raises(BadInput, match="does not exist") as refused:
        await open_store(postgres_server.get_uri(database="nowhere"), clock=clock)
    assert refused.value.field == "store.url"


@pytest.mark.postgres
async def test_a_user_whom_the_server_does_not_know_is_named_as_such(postgres_server: Any, clock: ManualClock) -> None:
    url = postgres_server.get_uri().replace("//postgres:", "//stranger:")
    with pytest.raises(BadInput, match="does not let in"):
        await open_store(url, clock=clock)


@pytest.mark.postgres
async def test_connections_that_the_server_ends_are_replaced(
    postgres_server: Any, clock: ManualClock, request: pytest.FixtureRequest
) -> None:
    postgres_server.psql("CREATE DATABASE ended")
    store = await open_store(postgres_server.get_uri(database="ended"), clock=clock)
    # With a timeout the server answers only once the processes are gone, and with them their ends of our connections.
    postgres_server.psql("SELECT pg_terminate_backend(pid, 30000) FROM pg_stat_activity WHERE datname = 'ended'")
    await settle()  # the loop sees that they ended
    assert await store.ledger.next_due() is None
    await store.close()
    postgres_server.psql("DROP DATABASE ended WITH (FORCE)")
