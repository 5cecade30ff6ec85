"""Tables that are not where this code needs them, on every database: brought there, or refused in one line."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from sqlalchemy import create_engine, make_url, text
from sqlalchemy.ext.asyncio import create_async_engine

from broker.errors import BadInput
from broker.store.migration import Revisions, needed_revision
from broker.store.store import open_store, revisions_of, upgrade_store
from config.clock import ManualClock
from config.settings import StoreSettings

NEVER = StoreSettings(migrate="never")
NEEDED = needed_revision().needed


@pytest.fixture
def store_url(new_url: str) -> str:
    """Tables are what this is about, so nobody makes them before."""
    return new_url


async def execute(url: str, *statements: str) -> None:
    """Run statements beside the store."""
    address = make_url(url)
    if address.drivername == "sqlite":
        engine = create_engine(address)
        with engine.begin() as connection:
            for statement in statements:
                connection.execute(text(statement))
        engine.dispose()
        return
    async_engine = create_async_engine(address.set(drivername="postgresql+asyncpg"))
    async with async_engine.begin() as connection:
        for statement in statements:
            await connection.execute(text(statement))
    await async_engine.dispose()


async def test_where_nothing_is_there_is_said_and_nothing_made(store_url: str, clock: ManualClock) -> None:
    assert await revisions_of(store_url) == Revisions("", NEEDED)
    with pytest.raises(BadInput, match=r"has no tables yet; .* run `heliograph db upgrade`") as refused:
        await open_store(store_url, clock=clock, settings=NEVER)
    assert refused.value.field == "store.url"
    assert await revisions_of(store_url) == Revisions("", NEEDED)


async def test_an_upgrade_lets_a_start_go_on_that_must_not_migrate(store_url: str, clock: ManualClock) -> None:
    assert await upgrade_store(store_url) == Revisions("", NEEDED)
    assert (await upgrade_store(store_url)).agree
    store = await open_store(store_url, clock=clock, settings=NEVER)
    assert await store.ledger.next_due() is None
    await store.close()


async def test_an_older_database_is_refused_where_a_start_must_not_migrate(store_url: str, clock: ManualClock) -> None:
    await upgrade_store(store_url)
    await execute(store_url, "UPDATE alembic_version SET version_num = '0001'")
    line = f"stands at revision 0001; this version needs {NEEDED}: run `heliograph db upgrade`"
    with pytest.raises(BadInput, match=line):
        await open_store(store_url, clock=clock, settings=NEVER)
    assert await revisions_of(store_url) == Revisions("0001", NEEDED)


async def test_upgrades_at_the_same_time_take_turns(
    store_url: str, together: Callable[..., Awaitable[list[Any]]], engine: str
) -> None:
    assert {type(answer) for answer in await together(*(upgrade_store(store_url) for _ in range(4)))} == {Revisions}
    assert (await revisions_of(store_url)).agree


async def test_a_newer_database_is_refused_by_all(store_url: str, clock: ManualClock) -> None:
    await upgrade_store(store_url)
    await execute(store_url, "UPDATE alembic_version SET version_num = '9999'")
    assert await revisions_of(store_url) == Revisions("9999", NEEDED, is_newer=True)
    for settings in (NEVER, StoreSettings()):
        with pytest.raises(BadInput, match="newer version"):
            await open_store(store_url, clock=clock, settings=settings)
    with pytest.raises(BadInput, match="newer version"):
        await upgrade_store(store_url)


@pytest.mark.postgres
async def test_a_user_who_may_not_make_tables_is_told_so(postgres_server: Any, clock: ManualClock) -> None:
    postgres_server.psql("CREATE ROLE visitor LOGIN")
    postgres_server.psql("CREATE DATABASE visited")
    url = postgres_server.get_uri(database="visited").replace("//postgres:", "//visitor:")
    with pytest.raises(BadInput, match="may not make or change our tables"):
        await open_store(url, clock=clock)
    postgres_server.psql("DROP DATABASE visited WITH (FORCE)")
    postgres_server.psql("DROP ROLE visitor")


@pytest.mark.postgres
async def test_a_wrong_password_is_told_without_it(postgres_server: Any, clock: ManualClock) -> None:
    rules = postgres_server.pgdata / "pg_hba.conf"
    before = rules.read_text()
    rules.write_text(f"local all guarded scram-sha-256\n{before}")
    postgres_server.psql("CREATE ROLE guarded LOGIN PASSWORD 'right'")
    postgres_server.psql("SELECT pg_reload_conf()")
    url = postgres_server.get_uri().replace("//postgres:", "//guarded:s3cret")
    with pytest.raises(BadInput, match="does not let in, or a wrong password") as refused:
        await open_store(url, clock=clock)
    assert "s3cret" not in str(refused.value)
    rules.write_text(before)
    postgres_server.psql("SELECT pg_reload_conf()")
    postgres_server.psql("DROP ROLE guarded")
