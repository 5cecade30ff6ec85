"""A real cluster: keys find their masters, whatever moves and whoever dies; listening follows."""

import asyncio

import pytest
from redis.crc import key_slot

from broker.engines.redis.engine import RedisEngine
from broker.errors import EngineUnavailable, PositionLost
from broker.history import ALL
from broker.model import Publication, PublishOptions
from config.clock import SystemClock
from config.settings import BrokerSettings

pytestmark = [pytest.mark.redis, pytest.mark.slow]

KEPT = PublishOptions(history_size=10, history_ttl_s=600)
CHANNELS = [f"channel-{number}" for number in range(60)]
GUARD_S = 60


class Node:
    """An engine whose channels are all subscribed to, and what it has received."""

    def __init__(self, engine):
        self.engine, self.link = engine, engine.link
        self.received, self._came = [], asyncio.Event()
        self.resumed = asyncio.Event()
        engine.pubsub.on_message(self.take)
        engine.pubsub.on_resume(self.resumed.set)

    def take(self, channel, publication):
        self.received.append((channel, publication.data))
        self._came.set()

    async def publish(self, data, channels=CHANNELS):
        published = await asyncio.gather(
            *(self.engine.pubsub.publish(channel, Publication(data), KEPT) for channel in channels)
        )
        return {channel: each.position for channel, each in zip(channels, published, strict=True)}

    async def arrived(self, data, channels=CHANNELS):
        """Wait until a payload has come over every channel; give what came."""
        async with asyncio.timeout(GUARD_S):
            while not {(channel, data) for channel in channels} <= set(self.received):
                self._came.clear()
                await self._came.wait()
        return sorted(channel for channel, known in self.received if known == data)

    async def published(self, data):
        """Publish until it is taken everywhere: an engine may be away for a while."""
        async with asyncio.timeout(GUARD_S):
            while True:
                try:
                    return await self.publish(data)
                except EngineUnavailable:
                    await asyncio.sleep(0.05)

    def slot(self, channel):
        return key_slot(self.link.keys.topic(channel).encode())


@pytest.fixture
async def join():
    """Have a node join a cluster."""
    engines = []

    async def make(url, *, is_subscribed=True):
        engine = RedisEngine.of(BrokerSettings(url=url, connect_timeout=5, call_timeout=5), SystemClock())
        engines.append(engine)
        node = Node(engine)
        await engine.start()
        if is_subscribed:
            await asyncio.gather(*(engine.pubsub.subscribe(channel) for channel in CHANNELS))
        return node

    yield make
    for engine in engines:
        await engine.close()


def owner_of(cluster, slot):
    """The number of the server that serves a slot."""
    for number, admin in enumerate(cluster.admin):
        myself = admin.execute_command("CLUSTER MYID")
        for node in admin.execute_command("CLUSTER NODES").values():
            if node["node_id"] == myself and any(int(first) <= slot <= int(last) for first, last in ranges(node)):
                return number
    raise AssertionError(f"nobody serves slot {slot}")


def ranges(node):
    return [(part[0], part[-1]) for part in node["slots"] if len(part) <= 2]


def begin_to_move(cluster, slot):
    """Have the next master import a slot; gives the giving one and the taking one."""
    giver = owner_of(cluster, slot)
    taker = (giver + 1) % len(cluster.servers)
    ids = [admin.execute_command("CLUSTER MYID") for admin in cluster.admin]
    cluster.admin[taker].execute_command("CLUSTER SETSLOT", slot, "IMPORTING", ids[giver])
    cluster.admin[giver].execute_command("CLUSTER SETSLOT", slot, "MIGRATING", ids[taker])
    return giver, taker, ids[taker]


def move_keys(cluster, slot, giver, taker):
    while keys := cluster.admin[giver].execute_command("CLUSTER GETKEYSINSLOT", slot, 100):
        port = cluster.servers[taker].port
        cluster.admin[giver].execute_command("MIGRATE", "127.0.0.1", port, "", 0, 5000, "KEYS", *keys)


def end_of_move(cluster, slot, giver, taker, taker_id):
    for number in (taker, giver, *range(len(cluster.servers))):
        cluster.admin[number].execute_command("CLUSTER SETSLOT", slot, "NODE", taker_id)


async def test_channels_are_spread_and_every_one_is_received(valkey_cluster, join):
    node = await join(valkey_cluster.url)
    await node.publish(b"1")
    assert await node.arrived(b"1") == sorted(CHANNELS)
    assert {owner_of(valkey_cluster, node.slot(channel)) for channel in CHANNELS} == {0, 1, 2}
    assert node.link.statistics().connected == 3


async def test_one_known_host_is_enough(valkey_cluster, join):
    node = await join(f"redis+cluster://127.0.0.1:1,127.0.0.1:{valkey_cluster.servers[2].port}")
    await node.publish(b"1")
    assert await node.arrived(b"1") == sorted(CHANNELS)


async def test_a_slot_that_moves_takes_its_channel_along(start_cluster, join):
    cluster = start_cluster(3)
    publisher, node = await join(cluster.url, is_subscribed=False), await join(cluster.url)
    before = await publisher.publish(b"1")
    await node.arrived(b"1")
    slot = node.slot(CHANNELS[0])

    giver, taker, taker_id = begin_to_move(cluster, slot)
    move_keys(cluster, slot, giver, taker)
    during = await publisher.published(b"2")  # the giver asks to ask the taker
    assert during[CHANNELS[0]].offset == before[CHANNELS[0]].offset + 1
    end_of_move(cluster, slot, giver, taker, taker_id)
    await publisher.published(b"3")
    async with asyncio.timeout(GUARD_S):
        await node.resumed.wait()  # the server has ended the subscription, and it was taken up at the taker
    await publisher.published(b"4")
    assert await node.arrived(b"4") == sorted(CHANNELS)


async def test_while_keys_are_on_their_way_a_call_is_tried_again(start_cluster, join):
    cluster = start_cluster(3)
    node = await join(cluster.url, is_subscribed=False)
    await node.publish(b"1")
    channel = CHANNELS[0]
    slot = node.slot(channel)
    giver, taker, _ = begin_to_move(cluster, slot)
    cluster.admin[giver].execute_command(
        "MIGRATE", "127.0.0.1", cluster.servers[taker].port, "", 0, 5000, "KEYS", node.link.keys.meta(channel)
    )
    with pytest.raises(EngineUnavailable, match="moving"):  # half of them are here, half there
        await node.publish(b"2", [channel])
    move_keys(cluster, slot, giver, taker)
    assert (await node.publish(b"3", [channel]))[channel].offset == 2


async def test_a_replica_that_takes_over_is_found_and_is_another(start_cluster, join):
    cluster = start_cluster(3, 3)
    node = await join(cluster.url)
    before = await node.publish(b"1")
    await node.arrived(b"1")
    lost = owner_of(cluster, node.slot(CHANNELS[0]))
    theirs = [channel for channel in CHANNELS if owner_of(cluster, node.slot(channel)) == lost]
    others = [channel for channel in CHANNELS if channel not in theirs]
    assert theirs
    assert others

    cluster.servers[lost].terminate()
    await node.publish(b"2", others)  # they do not notice
    assert await node.arrived(b"2", others) == sorted(others)
    with pytest.raises(EngineUnavailable):
        await node.publish(b"2", theirs)
    after = await node.published(b"3")
    async with asyncio.timeout(GUARD_S):
        await node.resumed.wait()
    await node.published(b"4")
    await node.arrived(b"4")
    assert {channel for channel in CHANNELS if after[channel].epoch != before[channel].epoch} == set(theirs)
    for channel in theirs:
        with pytest.raises(PositionLost):
            await node.engine.history.read(channel, since=before[channel], limit=ALL)
    assert node.link.state.is_connected


async def test_a_master_that_nobody_replaces_takes_only_its_channels_along(start_cluster, join, reached):
    cluster = start_cluster(3)
    node = await join(cluster.url)
    lost = owner_of(cluster, node.slot(CHANNELS[0]))
    theirs = [channel for channel in CHANNELS if owner_of(cluster, node.slot(channel)) == lost]
    others = [channel for channel in CHANNELS if channel not in theirs]
    cluster.servers[lost].stop()
    await reached(node.link, False)
    await node.publish(b"1", others)
    assert await node.arrived(b"1", others) == sorted(others)
    for channel in theirs:
        with pytest.raises(EngineUnavailable):
            await node.publish(b"1", [channel])
        with pytest.raises(EngineUnavailable):
            await node.engine.pubsub.subscribe(f"{channel}}}")
    cluster.servers[lost].start()
    await node.published(b"2")
    async with asyncio.timeout(GUARD_S):
        await node.resumed.wait()
    await node.published(b"3")
    assert await node.arrived(b"3") == sorted(CHANNELS)
