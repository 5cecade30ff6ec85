"""Processes on one PostgreSQL wake each other; here each store stands for a process, and time stands still, so nobody polls."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from sqlalchemy import make_url, text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from structlog.testing import capture_logs

from broker.store.store import Store
from config.clock import ManualClock

pytestmark = pytest.mark.postgres

OTHERS = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'heliograph signals' AND datname = current_database()"


@pytest.fixture
def engine() -> str:
    return "postgresql"


@pytest.fixture
async def server(store: Store, store_url: str) -> AsyncIterator[AsyncEngine]:
    """Connections of our own beside the stores'."""
    engine = create_async_engine(make_url(store_url).set(drivername="postgresql+asyncpg"))
    yield engine
    await engine.dispose()


@pytest.fixture
async def other(open_another: Callable[[], Awaitable[Store]]) -> Store:
    """The store as another process has it open."""
    return await open_another()


@pytest.fixture
def woken(other: Store) -> asyncio.Event:
    """Set when the other process is woken."""
    woken = asyncio.Event()
    other.ledger.on_work(woken.set)
    return woken


async def heard(event: asyncio.Event) -> None:
    """Wait for a fact; the limit only ends a hang."""
    async with asyncio.timeout(20):
        await event.wait()
    event.clear()


async def test_what_is_accepted_here_wakes_there(store: Store, woken: asyncio.Event, make_draft: Callable[..., Any]) -> None:
    await store.ledger.accept(make_draft("ann"))
    await heard(woken)


async def test_a_retry_and_what_is_released_wake_there_too(
    store: Store, pipeline: Any, woken: asyncio.Event, make_draft: Callable[..., Any]
) -> None:
    await pipeline.ledger.accept(make_draft("ann"))
    await heard(woken)
    await pipeline.claim()
    await store.ledger.release("w1")
    await heard(woken)


async def test_many_at_once_are_told_at_least_once_and_all_found(
    store: Store, other: Store, woken: asyncio.Event, pipeline_on: Any, make_draft: Callable[..., Any]
) -> None:
    await asyncio.gather(*(store.ledger.accept(make_draft(f"user-{number}")) for number in range(50)))
    await heard(woken)
    assert len(await pipeline_on(other).claim()) == 50


async def test_what_a_user_or_an_operator_ends_here_is_known_there(
    store: Store, other: Store, make_draft: Callable[..., Any]
) -> None:
    seen, cancelled, open_one = await store.ledger.accept(make_draft("ann", "bob", "cid"))
    await store.ledger.acknowledge(seen.id, "ann")
    await store.ledger.cancel(cancelled.id)
    async with asyncio.timeout(20):
        while not (other.ledger.is_ended(seen.id) and other.ledger.is_ended(cancelled.id)):
            await other.ledger.next_due()  # a round trip each time, in which the other connection gets its turn
    assert not other.ledger.is_ended(open_one.id)


async def test_a_send_of_another_process_is_not_begun_once_the_ack_is_heard_of(
    store: Store, other: Store, pipeline_on: Any, make_draft: Callable[..., Any]
) -> None:
    (one,) = await store.ledger.accept(make_draft("ann"))
    (claimed,) = await pipeline_on(other).claim()
    await store.ledger.acknowledge(one.id, "ann")
    async with asyncio.timeout(20):
        while not other.ledger.is_ended(claimed.notification.id):
            await other.ledger.next_due()


async def test_one_does_not_wake_itself_by_what_it_tells(
    store: Store, other: Store, woken: asyncio.Event, make_draft: Callable[..., Any]
) -> None:
    rings: list[int] = []
    store.ledger.on_work(lambda: rings.append(1))
    await store.ledger.accept(make_draft("ann"))
    await heard(woken)  # so the signal has come back here too
    await store.ledger.next_due()
    assert len(rings) == 1


async def test_words_of_others_on_the_channel_are_passed_over(
    store: Store, server: AsyncEngine, woken: asyncio.Event, make_draft: Callable[..., Any]
) -> None:
    for words in ("", "{}", "[1]", "work", '{"sender": 7}'):
        async with server.begin() as connection:
            await connection.execute(text("SELECT pg_notify('heliograph_store', :words)"), {"words": words})
    assert not woken.is_set()
    await store.ledger.accept(make_draft("ann"))
    await heard(woken)


async def test_a_lost_connection_comes_back_and_wakes_for_what_was_missed(
    store: Store, server: AsyncEngine, woken: asyncio.Event, clock: ManualClock, make_draft: Callable[..., Any]
) -> None:
    with capture_logs() as logs:
        async with server.begin() as connection:
            kill = "SELECT pg_terminate_backend(pid, 30000) FROM pg_stat_activity WHERE application_name = 'heliograph signals'"
            await connection.execute(text(kill))
        async with asyncio.timeout(20):
            while not woken.is_set():
                await clock.advance(1.0)
                await store.ledger.next_due()
    woken.clear()
    assert {entry["event"] for entry in logs} == {"outage.began", "outage.ended"}
    await store.ledger.accept(make_draft("ann"))
    await heard(woken)


async def test_what_is_told_right_before_the_end_is_still_heard(
    store: Store, pipeline: Any, woken: asyncio.Event, make_draft: Callable[..., Any]
) -> None:
    await pipeline.ledger.accept(make_draft("ann"))
    await heard(woken)
    await pipeline.claim()
    await store.ledger.release("w1")
    await store.close()
    await heard(woken)


async def test_nothing_is_left_connected_after_the_end(store: Store, other: Store, server: AsyncEngine) -> None:
    await other.close()
    await store.close()
    async with server.connect() as connection, asyncio.timeout(20):
        while (await connection.execute(text(OTHERS))).scalar_one():
            await connection.rollback()
