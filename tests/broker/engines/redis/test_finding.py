"""Where the master is: what the sentinels say, now and after a failover; and who serves which slots."""

import subprocess

import pytest
import redis.asyncio
from redis.asyncio.retry import Retry
from redis.backoff import ConstantBackoff

from broker.engines.redis.address import Host
from broker.engines.redis.engine import RedisEngine
from broker.engines.redis.finding import SlotRange, read_slots
from broker.errors import EngineUnavailable, PositionLost
from broker.history import ALL
from broker.model import Publication, PublishOptions
from config.clock import SystemClock
from config.settings import BrokerSettings

KEPT = PublishOptions(history_size=10, history_ttl_s=600)


def test_slots_are_read_with_their_masters():
    answer = [
        [0, 100, [b"10.0.0.1", 7, b"id", []], [b"10.0.0.9", 7, b"replica", []]],
        [101, 200, [b"::1", 8, b"id"]],
        [201, 201, [b"", 9, b"id", []]],
        [202, 300, [None, 9, b"id", [b"hostname", b"h"]]],
        [301, 302, [b"?", 9, b"id", []]],
    ]
    assert read_slots(answer, Host("asked", 1)) == [
        SlotRange(0, 100, Host("10.0.0.1", 7)),
        SlotRange(101, 200, Host("::1", 8)),
        SlotRange(201, 201, Host("asked", 9)),
        SlotRange(202, 300, Host("asked", 9)),
        SlotRange(301, 302, Host("asked", 9)),
    ]


class Watch:
    """A sentinel that watches a master called `mymaster`, and asks whoever comes for a password."""

    def __init__(self, binary, directory, port, master):
        self.port = port
        self._config = directory / f"sentinel-{port}.conf"
        self._config.write_text(
            f"port {port}\nbind 127.0.0.1\ndir {directory}\nrequirepass watchword\n"
            f"sentinel monitor mymaster 127.0.0.1 {master.port} 1\n"
            "sentinel down-after-milliseconds mymaster 500\nsentinel failover-timeout mymaster 2000\n"
        )
        self._binary = binary
        self.process = None

    async def start(self):
        """Start it and wait until it answers."""
        command = [self._binary, self._config, "--sentinel"]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL)  # noqa: ASYNC220 (starting takes no time)
        retry = Retry(ConstantBackoff(0.05), 400)
        async with redis.asyncio.Redis(port=self.port, password="watchword", retry=retry) as client:
            await client.ping()


@pytest.fixture
async def watched(start_valkey, tmp_path, free_port, open_link):
    """A master and its replica, and the sentinel that watches them."""
    master, replica = start_valkey(repl_diskless_sync_delay="0"), start_valkey()
    link = await open_link(url=replica.connection_url)
    await link.command("REPLICAOF", "127.0.0.1", master.port)
    watch = Watch(master._binary_path, tmp_path, free_port(), master)
    await watch.start()
    yield master, replica, watch
    watch.process.terminate()
    watch.process.wait()


@pytest.fixture
async def start():
    """Start engines that ask sentinels."""
    engines = []

    async def make(*ports, name="mymaster", password="watchword"):
        hosts = ",".join(f"127.0.0.1:{port}" for port in ports)
        settings = BrokerSettings(url=f"redis+sentinel://{hosts}/{name}", sentinel_password=password)
        engine = RedisEngine.of(settings, SystemClock())
        engine.pubsub.on_message(lambda channel, message: None)
        engines.append(engine)
        await engine.start()
        return engine

    yield make
    for engine in engines:
        await engine.close()


@pytest.mark.redis
async def test_the_sentinels_tell_the_master_whichever_of_them_answers(watched, start):
    master, _, watch = watched
    engine = await start(1, watch.port)
    assert (await engine.link.command("INFO", "server")).count(b"tcp_port:%d" % master.port) == 1


@pytest.mark.redis
async def test_what_the_sentinels_do_not_know_or_tell_is_a_clear_refusal(watched, start):
    *_, watch = watched
    with pytest.raises(EngineUnavailable, match="watches no master called 'other'"):
        await start(watch.port, name="other")
    with pytest.raises(EngineUnavailable, match="refuses the login"):
        await start(watch.port, password="wrong")


@pytest.mark.redis
@pytest.mark.slow
async def test_after_a_failover_the_new_master_is_found_and_is_another(watched, start, reached):
    master, replica, watch = watched
    engine = await start(watch.port)
    first = await engine.pubsub.publish("news", Publication(b"1"), KEPT)
    master.terminate()
    await reached(engine.link, False)
    await reached(engine.link, True)
    assert (await engine.link.command("INFO", "server")).count(b"tcp_port:%d" % replica.port) == 1
    with pytest.raises(PositionLost):
        await engine.history.read("news", since=first.position, limit=ALL)
    assert (await engine.pubsub.publish("news", Publication(b"2"), KEPT)).position.epoch != first.position.epoch
