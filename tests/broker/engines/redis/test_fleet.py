"""What a node says of its place in the fleet."""

import asyncio
import math

import pytest

from broker.engines.redis.engine import RedisEngine
from broker.engines.redis.fleet import FleetStatistics
from broker.errors import EngineUnavailable
from broker.model import ClientInfo
from config.clock import SystemClock
from config.settings import BrokerSettings

# Ends a test that would hang; no test depends on its length.
GUARD_S = 30


async def test_it_counts_nodes_entries_and_words(join, cut_off):
    one = await join()
    assert one.fleet.statistics() == FleetStatistics(nodes=1, entries=0, owed=0, words=0)
    two = await join()
    await one.fleet.presence.add("room", ClientInfo("ann", "c1"))
    await one.fleet.users.connected("ann", "c1")
    await one.fleet.revocation.revoke_token("t1", until=math.inf)
    with cut_off(one), pytest.raises(EngineUnavailable):
        await one.fleet.presence.remove("room", "c1")
    assert one.fleet.statistics() == FleetStatistics(nodes=1, entries=1, owed=1, words=1)
    await one.beat()
    assert one.fleet.statistics() == FleetStatistics(nodes=2, entries=1, owed=0, words=1)
    assert two.fleet.statistics().entries == 0


@pytest.fixture
async def open_engine():
    """Open engines by the real clock, whose ports may be used."""
    engines = []

    async def make(server) -> RedisEngine:
        engine = RedisEngine.of(BrokerSettings(url=server.connection_url), SystemClock())
        engines.append(engine)
        engine.pubsub.on_message(lambda channel, message: None)
        await engine.start()
        return engine

    yield make
    for engine in engines:
        await engine.close()


async def test_a_server_that_came_back_empty_is_filled_again_at_once(start_valkey, open_engine, reached):
    server = start_valkey()
    one, two = await open_engine(server), await open_engine(server)
    ann, bob = ClientInfo("ann", "c1"), ClientInfo("bob", "c2")
    await one.presence.add("room", ann)
    await two.presence.add("room", bob)
    await two.users.connected("bob", "c2")
    await one.revocation.block_user("cat", until=math.inf)
    server.stop()
    await reached(one.link, False)
    with pytest.raises(EngineUnavailable):
        await one.presence.members("room")
    with pytest.raises(EngineUnavailable):
        await one.control.nodes()
    with pytest.raises(EngineUnavailable):
        await one.presence.remove("room", "c1")
    server.start()
    await reached(one.link, True)
    await reached(two.link, True)
    async with asyncio.timeout(GUARD_S):
        while await one.presence.members("room") != {"c2": bob}:
            pass
        while not await one.users.online(frozenset({"bob"})):
            pass
        while not (await open_engine(server)).revocation.is_blocked("cat"):
            pass
