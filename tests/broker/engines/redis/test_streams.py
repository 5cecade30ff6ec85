"""Epochs are bound to the identity of the data: whatever Redis may have forgotten, it never passes as a recovery.

Each test publishes, has something happen to the server, and looks whether the position that was told before still counts.
"""

import asyncio
import shutil

import pytest

from broker.engines.redis.address import parse_address
from broker.engines.redis.engine import RedisEngine
from broker.errors import EngineUnavailable, PositionLost
from broker.history import ALL
from broker.model import Publication, PublishOptions
from config.clock import SystemClock
from config.settings import BrokerSettings

pytestmark = pytest.mark.redis

KEPT = PublishOptions(history_size=10, history_ttl_s=600)


@pytest.fixture
async def open_engine():
    """Open engines on a server; with the prefix of another one they share its streams."""
    engines = []

    async def make(server, **changed):
        engine = RedisEngine.of(
            BrokerSettings(url=server.connection_url, connect_timeout=30, call_timeout=30, **changed), SystemClock()
        )
        engine.pubsub.on_message(lambda channel, message: None)
        engines.append(engine)
        await engine.start()
        return engine

    yield make
    for engine in engines:
        await engine.close()


async def publish(engine, *numbers, channel="news"):
    for number in numbers:
        published = await engine.pubsub.publish(channel, Publication(b"%d" % number), KEPT)
    return published.position


async def missed(engine, position, channel="news"):
    """What a client that stands at a position missed; raises where that is not certain."""
    read = await engine.history.read(channel, since=position, limit=ALL)
    return [int(publication.data) for publication in read.publications]


async def again(engine, reached, server, *, stop, change=lambda: None):
    """Have a server end and start again; `change` is done to its files meanwhile."""
    stop()
    await reached(engine.link, False)
    change()
    server.start()
    await reached(engine.link, True)


async def test_a_connection_that_breaks_loses_no_position(open_engine, valkey, raw):
    engine = await open_engine(valkey, prefix="breaks")
    position = await publish(engine, 1)
    await publish(engine, 2)
    for kind in ("normal", "pubsub"):
        await raw.client_kill_filter(_type=kind, skipme=True)
    try:
        assert await missed(engine, position) == [2]
    except EngineUnavailable:  # it was under way
        assert await missed(engine, position) == [2]


async def test_other_nodes_and_later_ones_keep_the_epoch(open_engine, valkey):
    engine = await open_engine(valkey, prefix="others")
    position = await publish(engine, 1)
    await engine.close()
    other = await open_engine(valkey, prefix="others")
    assert (await publish(other, 2)).epoch == position.epoch
    assert await missed(other, position) == [2]


async def test_an_emptied_server_is_another(start_valkey, open_engine):
    engine = await open_engine(start_valkey())
    position = await publish(engine, 1, 2)
    await engine.link.command("FLUSHALL")
    with pytest.raises(PositionLost):
        await missed(engine, position)
    assert (await publish(engine, 1, 2)).epoch != position.epoch


async def test_a_restarted_empty_server_is_another(start_valkey, open_engine, reached):
    server = start_valkey()
    engine = await open_engine(server)
    position = await publish(engine, 1, 2)
    await again(engine, reached, server, stop=server.terminate)
    renewed = await publish(engine, 3, 4)
    assert (renewed.offset, renewed.epoch != position.epoch) == (2, True)
    with pytest.raises(PositionLost):
        await missed(engine, position)


@pytest.mark.parametrize("is_published_first", [True, False])
async def test_an_old_snapshot_is_another(start_valkey, open_engine, reached, is_published_first):
    server = start_valkey()
    engine = await open_engine(server)
    await publish(engine, 1, 2)
    await engine.link.command("SAVE")
    position = await publish(engine, 3)  # in no snapshot
    await again(engine, reached, server, stop=server.terminate)
    if is_published_first:  # the lost one's offset is given again
        assert (await publish(engine, 33)).offset == 3
    with pytest.raises(PositionLost):
        await missed(engine, position)
    kept = await engine.history.read("news", since=None, limit=ALL)
    assert [int(publication.data) for publication in kept.publications] == ([1, 2, 33] if is_published_first else [1, 2])
    assert kept.top.epoch != position.epoch


async def test_a_clean_restart_is_another_too(start_valkey, open_engine, reached):
    # Nothing was lost, but nobody can tell: the server might have been started from any copy.
    server = start_valkey(save="3600 1")
    engine = await open_engine(server)
    position = await publish(engine, 1, 2)
    await again(engine, reached, server, stop=server.stop)
    with pytest.raises(PositionLost):
        await missed(engine, position)
    assert (await publish(engine, 3)).offset == 3


async def test_a_torn_append_only_file_is_another(start_valkey, open_engine, reached):
    server = start_valkey(appendonly="yes", appendfsync="everysec")
    engine = await open_engine(server)
    await publish(engine, *range(5))
    position = await publish(engine, 5)

    def tear():
        [log] = server.data_dir.glob("appendonlydir/*.incr.aof")
        log.write_bytes(log.read_bytes()[:-30])

    await again(engine, reached, server, stop=server.terminate, change=tear)
    assert (await publish(engine, 6)).offset <= position.offset  # the last one at least is gone
    with pytest.raises(PositionLost):
        await missed(engine, position)


async def test_a_copy_of_the_data_is_another(start_valkey, open_engine):
    first = start_valkey()
    engine = await open_engine(first)
    await publish(engine, 1)
    await engine.link.command("SAVE")
    position = await publish(engine, 2)
    second = start_valkey()
    second.stop()
    shutil.copy(first.data_dir / "dump.rdb", second.data_dir / "dump.rdb")
    second.start()
    with pytest.raises(PositionLost):
        await missed(await open_engine(second), position)


async def in_step(master, replica):
    """Wait until a replica has all that its master has."""

    async def said(link):
        lines = (await link.command("INFO", "replication")).decode().splitlines()
        return dict(line.split(":", 1) for line in lines if ":" in line)

    async with asyncio.timeout(30):
        while True:
            led, follows = await said(master), await said(replica)
            if (
                follows.get("master_link_status") == "up"
                and follows["master_replid"] == led["master_replid"]
                and follows["slave_repl_offset"] == led["master_repl_offset"]
            ):
                return


@pytest.fixture
async def pair(start_valkey, open_link):
    """Two servers of which the second follows the first, with a plain link to each."""
    servers = [start_valkey(repl_diskless_sync_delay="0") for _ in range(2)]
    links = [await open_link(url=server.connection_url) for server in servers]
    await links[1].command("REPLICAOF", "127.0.0.1", servers[0].port)
    await in_step(*links)
    return servers, links


async def test_a_promoted_replica_is_another(pair, open_engine):
    servers, links = pair
    engine = await open_engine(servers[0])
    position = await publish(engine, 1, 2)
    await in_step(*links)
    await links[1].command("REPLICAOF", "NO", "ONE")
    heir = await open_engine(servers[1])
    with pytest.raises(PositionLost):
        await missed(heir, position)
    assert (await publish(heir, 3)).offset == 3  # what it has can be read, under another epoch


async def test_a_server_that_was_a_replica_for_a_while_is_another(pair, open_engine):
    """It has been given another server's data, though it never stopped and kept its connections."""
    servers, links = pair
    engine = await open_engine(servers[0])
    await publish(engine, 1)
    await in_step(*links)
    await links[1].command("REPLICAOF", "NO", "ONE")
    position = await publish(engine, 2)  # the heir has not got this one
    await links[0].command("REPLICAOF", "127.0.0.1", servers[1].port)
    await in_step(links[1], links[0])
    await links[0].command("REPLICAOF", "NO", "ONE")
    with pytest.raises(PositionLost):
        await missed(engine, position)
    assert (await publish(engine, 3)).offset == 2


async def test_a_server_that_became_a_replica_takes_nothing(pair, open_engine):
    servers, links = pair
    engine = await open_engine(servers[0])
    await publish(engine, 1)
    await links[1].command("REPLICAOF", "NO", "ONE")
    await links[0].command("REPLICAOF", "127.0.0.1", servers[1].port)
    with pytest.raises(EngineUnavailable, match="READONLY"):
        await publish(engine, 2)
    with pytest.raises(EngineUnavailable, match="is a replica"):
        await publish(engine, 3)


async def test_a_lost_epoch_counts_for_idempotent_repeats_as_it_was_told(start_valkey, open_engine):
    engine = await open_engine(start_valkey())
    once = PublishOptions(history_size=10, history_ttl_s=600, idempotency_key="k")
    first = await engine.pubsub.publish("news", Publication(b"1"), once)
    again = await engine.pubsub.publish("news", Publication(b"2"), once)
    assert (again.position, again.suppressed) == (first.position, True)


async def test_what_is_no_message_is_passed_over(open_engine, valkey):
    got = []
    engine = await open_engine(valkey, prefix="garbled")
    engine.pubsub.on_message(lambda channel, message: got.append(message))
    await engine.pubsub.subscribe("news")
    topic = engine.link.keys.topic("news")
    await engine.link.publish(topic, b"?")
    await engine.pubsub.publish("news", Publication(b"1"), PublishOptions())
    fence = asyncio.Event()
    await engine.link.listen("fence", lambda payload: fence.set())
    await engine.link.publish("fence", b"")
    await fence.wait()
    assert got == [Publication(b"1")]


async def test_a_stream_of_something_else_is_no_answer(open_engine, valkey):
    engine = await open_engine(valkey, prefix="foreign")
    await publish(engine, 1)
    key = engine.link.keys.publications("news")
    await engine.link.command("LSET", key, 0, b"\x01\xff", key=key)
    with pytest.raises(EngineUnavailable, match="something else"):
        await engine.history.read("news", since=None, limit=ALL)


async def test_a_position_that_is_forgotten_before_its_publications_takes_them_along(open_engine, valkey):
    engine = await open_engine(valkey, prefix="forgotten")
    position = await publish(engine, 1, 2)
    key = engine.link.keys.meta("news")
    await engine.link.command("DEL", key, key=key)
    renewed = await publish(engine, 3)
    assert (renewed.offset, renewed.epoch != position.epoch) == (1, True)
    assert await missed(engine, None) == [3]


async def test_versions_may_be_larger_than_a_number_of_the_server_can_be(open_engine, valkey):
    engine = await open_engine(valkey, prefix="versions")
    large = 2**63

    async def offer(version):
        options = PublishOptions(history_size=10, history_ttl_s=600, version=version)
        return not (await engine.pubsub.publish("news", Publication(b"1"), options)).suppressed

    assert [await offer(large + step) for step in (1, 0, 1, 2)] == [True, False, False, True]


async def test_a_version_epoch_may_be_any_text(open_engine, valkey):
    engine = await open_engine(valkey, prefix="version-epochs")

    async def offer(epoch):
        options = PublishOptions(history_size=10, history_ttl_s=600, version=1, version_epoch=epoch)
        return not (await engine.pubsub.publish("news", Publication(b"1"), options)).suppressed

    assert [await offer(epoch) for epoch in ("a\0b", "a\0b", "a\0c", "ü" * 100, "ü" * 100)] == [True, False, True, True, False]


def test_the_address_is_read_when_the_engine_is_made():
    settings = BrokerSettings(url="redis://h:7")
    assert RedisEngine.of(settings, SystemClock()).link.address == parse_address(settings)
