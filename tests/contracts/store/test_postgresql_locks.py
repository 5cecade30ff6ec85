"""Where PostgreSQL's locks could cross: who waits for whom, and what is left when two go for the same rows."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import msgspec
import pytest
from sqlalchemy import make_url, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from broker.campaigns import Audience, NewCampaign
from broker.errors import NotFound
from broker.removed_devices import RemovedFilter, RestoredPage
from broker.store.campaign_pages import _HOLD as HELD
from broker.store.removed_devices import set_aside
from broker.store.store import Store

pytestmark = pytest.mark.postgres


@pytest.fixture
def engine() -> str:
    return "postgresql"


@pytest.fixture
async def server(store: Store, store_url: str) -> AsyncIterator[AsyncEngine]:
    """Connections of our own beside the store's."""
    engine = create_async_engine(make_url(store_url).set(drivername="postgresql+asyncpg"))
    yield engine
    await engine.dispose()


async def until_waits(connection: AsyncConnection) -> None:
    """Return once a transaction of the store waits for a lock."""
    waiting = text("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND application_name = 'heliograph'")
    while not (await connection.execute(waiting)).scalar():
        await asyncio.sleep(0)
        await connection.execute(text("SELECT pg_stat_clear_snapshot()"))


async def test_erasure_removes_a_device_that_is_just_set_aside(
    store: Store, server: AsyncEngine, pipeline: Any, clock: Any
) -> None:
    phone = await pipeline.register("ann")
    async with server.begin() as connection:
        now = int(clock.now().timestamp() * 1_000_000)
        await connection.run_sync(lambda one: set_aside(one, {phone.id: (now, "gone")}, now))
        erasing = asyncio.ensure_future(store.erasure.erase("ann"))
        await until_waits(connection)
    await erasing
    assert (await store.removed_devices.find(RemovedFilter(), limit=10)).devices == []


@pytest.mark.parametrize("whole", [False, True])
async def test_restoring_and_registering_one_device_wait_for_each_other_in_turn(
    store: Store, server: AsyncEngine, pipeline: Any, clock: Any, whole: bool
) -> None:
    phone = await pipeline.register("ann")
    now = int(clock.now().timestamp() * 1_000_000)
    async with server.begin() as connection:
        await connection.run_sync(lambda one: set_aside(one, {phone.id: (now, "gone")}, now))
    registering = text("SELECT pg_advisory_xact_lock(hashtextextended('devices' || chr(31) || 'ann', 0))")
    forgetting = text("DELETE FROM removed_devices WHERE id = :id")
    async with server.begin() as connection:
        await connection.execute(registering)
        removed = store.removed_devices
        calls = removed.restore_all(RemovedFilter(user="ann"), limit=10) if whole else removed.restore("ann", phone.id)
        restoring = asyncio.ensure_future(calls)
        await until_waits(connection)
        async with asyncio.timeout(5):
            await connection.execute(forgetting, {"id": phone.id})
    (answer,) = await asyncio.gather(restoring, return_exceptions=True)
    assert list(await store.devices.of_user("ann")) == []
    assert isinstance(answer, NotFound) if not whole else answer == RestoredPage(0, 0, "")


async def test_what_became_of_a_page_is_counted_while_its_campaign_is_held(
    store: Store, server: AsyncEngine, make_draft: Callable[..., Any], clock: Any
) -> None:
    """Whoever tells the next page holds the campaign; the first of a state refers to it all the same."""
    await store.topics.subscribe("tides", ["ann", "bob"])
    draft = msgspec.structs.replace(make_draft(), users=())
    campaign_id = await store.campaigns.create(NewCampaign(Audience(("tides",)), draft))
    await store.campaigns.begin(campaign_id)
    await store.campaigns.expand(campaign_id, limit=10)
    await store.erasure.erase("ann")
    clock.move(10)
    async with server.begin() as connection:
        await connection.execute(HELD, {"of_campaign": campaign_id})
        async with asyncio.timeout(5):
            assert await store.campaigns.tally(limit=10, within_s=3600) == 1
