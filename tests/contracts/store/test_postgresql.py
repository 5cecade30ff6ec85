"""What is PostgreSQL's own: claims do not wait for each other's rows, and its plans go by the indexes."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from sqlalchemy import make_url, text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from broker.errors import StoreUnavailable
from broker.store.store import Store, open_store
from config.clock import ManualClock

pytestmark = pytest.mark.postgres


@pytest.fixture
def engine() -> str:
    return "postgresql"


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[AsyncEngine]:
    engine = create_async_engine(make_url(url).set(drivername="postgresql+asyncpg"))
    yield engine
    await engine.dispose()


@pytest.fixture
async def server(store: Store, store_url: str) -> AsyncIterator[AsyncEngine]:
    """Connections of our own beside the store's."""
    async with connected(store_url) as engine:
        yield engine


async def test_a_claim_passes_over_steps_that_another_transaction_holds(
    server: AsyncEngine, pipeline: Any, make_draft: Callable[..., Any]
) -> None:
    held, free = await pipeline.ledger.accept(make_draft("ann", "bob"))
    async with server.begin() as connection:
        query = text("SELECT 1 FROM steps WHERE notification_id = :id FOR UPDATE")
        await connection.execute(query, {"id": held.id})
        async with asyncio.timeout(5):  # ends a claim that would wait; what it claims tells the rest
            claimed = await pipeline.claim()
    assert [step.notification.id for step in claimed] == [free.id]


async def test_an_acknowledgement_waits_for_a_record_and_then_counts(
    server: AsyncEngine, pipeline: Any, make_draft: Callable[..., Any]
) -> None:
    (one,) = await pipeline.ledger.accept(make_draft("ann"))
    async with server.begin() as connection:
        query = text("SELECT 1 FROM steps WHERE notification_id = :id FOR UPDATE")
        await connection.execute(query, {"id": one.id})
        waiting = asyncio.ensure_future(pipeline.ledger.acknowledge(one.id, "ann"))
        await connection.execute(text("UPDATE notifications SET state = 'failed'"))
        await connection.execute(text("DELETE FROM steps"))
    assert await waiting == "acknowledged"


async def test_a_session_that_the_server_ends_is_unavailable_and_replaced(
    server: AsyncEngine, pipeline: Any, make_draft: Callable[..., Any]
) -> None:
    (one,) = await pipeline.ledger.accept(make_draft("ann"))
    async with server.begin() as connection:
        query = text("SELECT 1 FROM steps WHERE notification_id = :id FOR UPDATE")
        await connection.execute(query, {"id": one.id})
        waiting = asyncio.ensure_future(pipeline.ledger.acknowledge(one.id, "ann"))
        blocked = text("SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND application_name = 'heliograph'")
        while (pid := (await connection.execute(blocked)).scalar()) is None:
            await asyncio.sleep(0)
            await connection.execute(text("SELECT pg_stat_clear_snapshot()"))
        await connection.execute(text("SELECT pg_terminate_backend(:pid)"), {"pid": pid})
        with pytest.raises(StoreUnavailable):
            await waiting
    assert await pipeline.ledger.acknowledge(one.id, "ann") == "acknowledged"


async def test_what_is_read_at_a_claim_goes_by_the_indexes_without_statistics(
    new_url: str, clock: ManualClock, make_draft: Callable[..., Any], pipeline_on: Callable[[Store], Any]
) -> None:
    store = await open_store(new_url, clock=clock)
    await store.ledger.accept(make_draft(*(f"user-{number}" for number in range(1000))))
    await pipeline_on(store).claim(10)
    await store.close()  # a session counts what it read when it ends
    async with connected(new_url) as server, server.begin() as connection:
        read = "SELECT seq_tup_read FROM pg_stat_user_tables WHERE relname IN ('steps', 'notifications', 'drafts')"
        assert list((await connection.execute(text(read))).scalars()) == [0, 0, 0]
