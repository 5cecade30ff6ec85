"""Engines to hold against the ports, and what a node hands them: a door for messages and a hand for commands."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from hashlib import sha1
from typing import Any
from uuid import uuid4

import msgspec
import pytest

from broker.control import Command, ConnectionInfo, NodeInfo, SubscriptionInfo, TokenInfo
from broker.engines.engine import Engine
from broker.engines.memory.engine import MemoryEngine
from broker.engines.redis.address import parse_address
from broker.engines.redis.engine import RedisEngine
from broker.engines.redis.link import Argument, Link
from broker.engines.redis.packing import pack
from broker.engines.redis.scripts import Script
from broker.model import ClientInfo, Join, Leave, Publication, Published, PublishOptions, Slice
from config.clock import Clock, ManualClock
from config.settings import BrokerSettings

Message = Publication | Join | Leave

# Ends a test that would hang; no test depends on its length.
GUARD_S = 30


@dataclass(frozen=True)
class EngineCase:
    """An engine under test: how it is made, and how the world around it is moved.

    Attributes:
        let_pass: Lets time pass for the engine and for whatever it stands on.
        settle: Returns when everything that was published has been delivered.
        examples: How many runs a state machine is worth, by how long one takes.
    """

    name: str
    open: Callable[[Clock], Awaitable[Engine]]
    let_pass: Callable[[Any, ManualClock, float], Awaitable[None]]
    settle: Callable[[Any], Awaitable[None]]
    examples: int


async def open_memory(clock: Clock) -> Engine:
    return MemoryEngine(clock)


async def move_clock(engine: Engine, clock: ManualClock, seconds: float) -> None:
    clock.move(seconds)


async def already_settled(engine: Engine) -> None:
    """What memory publishes is delivered when `publish` returns."""


MEMORY = EngineCase("memory", open_memory, move_clock, already_settled, examples=150)

# A second of these tests lasts so many seconds on the server, so that the real time which passes meanwhile does not count.
STRETCH = 1000
# Shortens the lives of keys: those of streams and limits are stretched, the others are not.
AGE = """#!lua flags=allow-cross-slot-keys
for _, key in ipairs(redis.call('KEYS', ARGV[1])) do
  local ms = tonumber(ARGV[2])
  if string.find(key, '^[^:]+:[msi]:') or string.find(key, '^[^:]+:limit:') then
    ms = ms * tonumber(ARGV[3])
  end
  local left = redis.call('PTTL', key)
  if left >= 0 and left <= ms then
    redis.call('DEL', key)
  elseif left >= 0 then
    redis.call('PEXPIRE', key, left - ms)
  end
end
"""


class StandingLink(Link):
    """A link that tells its scripts the time: on the server, too, it stands still until a test moves it."""

    now_us = 1_700_000_000_000_000

    async def run(self, script: Script, keys: Sequence[str], args: Sequence[Argument] = ()) -> Any:
        return await super().run(told(script, self.now_us), keys, args)

    async def age(self, seconds: float) -> None:
        self.now_us += round(seconds * 1_000_000)
        age = pack("EVAL", AGE, 0, self.keys.pattern(), round(seconds * 1000), STRETCH)
        await asyncio.gather(*(server.call(0, age) for server in self._servers.all()))


def told(script: Script, now_us: int) -> Script:
    text = script.text.replace("redis.call('TIME')", f"{{'{now_us // 1_000_000}', '{now_us % 1_000_000}'}}")
    if text == script.text:
        return script
    text = text.replace("'PX', ", f"'PX', {STRETCH} * ")
    return Script(script.name, text, sha1(text.encode()).hexdigest())


class StretchedStreams:
    """The ports PubSub and History with longer times."""

    def __init__(self, streams: Any) -> None:
        self._streams = streams

    def __getattr__(self, name: str) -> Any:
        return getattr(self._streams, name)

    async def publish(self, channel: str, publication: Publication, options: PublishOptions) -> Published:
        stretched = msgspec.structs.replace(
            options,
            history_ttl_s=options.history_ttl_s * STRETCH,
            history_meta_ttl_s=options.history_meta_ttl_s * STRETCH,
            idempotency_ttl_s=options.idempotency_ttl_s * STRETCH,
        )
        return await self._streams.publish(channel, publication, stretched)

    async def read(self, channel: str, *, meta_ttl_s: float = 720 * 3600.0, **more: Any) -> Slice:
        return await self._streams.read(channel, meta_ttl_s=meta_ttl_s * STRETCH, **more)


async def open_redis(url: str, clock: Clock) -> Engine:
    settings = BrokerSettings(url=url, prefix=f"contract-{uuid4().hex}", connect_timeout=GUARD_S, call_timeout=GUARD_S)
    engine = RedisEngine(StandingLink(parse_address(settings), settings, clock), clock)
    engine.pubsub = engine.history = StretchedStreams(engine.pubsub)
    return engine


async def age_redis(engine: RedisEngine, clock: ManualClock, seconds: float) -> None:
    # Nobody is woken: background work has no part in these contracts, and would take real time.
    clock.move(seconds)
    await engine.link.age(seconds)


async def settle_redis(engine: RedisEngine) -> None:
    """Wait for messages that were published after all others; in a cluster for so many that each node brings some."""
    link, arrived = engine.link, asyncio.Event()
    topics = [link.keys.plain("fence", str(number)) for number in range(32 if link.is_cluster else 1)]
    waiting = set(topics)

    def arrive(topic: str, _: bytes) -> None:
        waiting.discard(topic)
        if not waiting:
            arrived.set()

    for topic in topics:
        await link.listen(topic, partial(arrive, topic))
        await link.publish(topic, b"")
    async with asyncio.timeout(GUARD_S):
        await arrived.wait()


def redis_case(url: str) -> EngineCase:
    return EngineCase("redis", partial(open_redis, url), age_redis, settle_redis, examples=25)


def cluster_case(url: str) -> EngineCase:
    return EngineCase("cluster", partial(open_redis, url), age_redis, settle_redis, examples=20)


class Inbox:
    """The node's door: keeps what arrives, and lets a test wait for it."""

    def __init__(self) -> None:
        self.messages: list[tuple[str, Message]] = []
        self._arrived = asyncio.Event()

    def __call__(self, channel: str, message: Message) -> None:
        self.messages.append((channel, message))
        self._arrived.set()

    def of(self, channel: str) -> list[Message]:
        """What has come for a channel so far."""
        return [message for known, message in self.messages if known == channel]

    async def wait(self, channel: str, count: int) -> list[Message]:
        """Wait until at least so many have come for a channel."""
        async with asyncio.timeout(GUARD_S):
            while len(self.of(channel)) < count:
                self._arrived.clear()
                await self._arrived.wait()
        return self.of(channel)


class Node:
    """A node as control sees it."""

    def __init__(self) -> None:
        self.performed: list[Command] = []
        self.info = NodeInfo("n1", "one", "1.0", num_clients=3, num_users=2, num_channels=1, num_subs=4, uptime=9)
        self.rooms = {"news": 3, "chat": 1}
        self.connection = ConnectionInfo(
            "ann",
            "app",
            "2",
            "websocket",
            "json",
            connected_at_ms=1_700_000_000_123,
            subscriptions={"news": SubscriptionInfo(3, TokenInfo("t2", 1.5)), "chat": SubscriptionInfo(6)},
            token=TokenInfo("t1", 5.0),
            meta=b'{"a":1}',
        )

    async def perform(self, command: Command) -> None:
        self.performed.append(command)

    def describe(self) -> NodeInfo:
        return self.info

    def connections(self, user: str) -> Mapping[str, ConnectionInfo]:
        return {"c1": self.connection} if user == self.connection.user else {}

    def channels(self) -> Mapping[str, int]:
        return self.rooms


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def inbox() -> Inbox:
    return Inbox()


@pytest.fixture
def node() -> Node:
    return Node()


@pytest.fixture(
    params=[
        "memory",
        pytest.param("redis", marks=pytest.mark.redis),
        pytest.param("cluster", marks=[pytest.mark.redis, pytest.mark.slow]),
    ]
)
def engine_case(request: pytest.FixtureRequest) -> EngineCase:
    match request.param:
        case "redis":
            return redis_case(request.getfixturevalue("valkey").connection_url)
        case "cluster":
            return cluster_case(request.getfixturevalue("valkey_cluster").url)
        case _:
            return MEMORY


@pytest.fixture
async def engine(engine_case: EngineCase, clock: ManualClock, inbox: Inbox, node: Node) -> AsyncIterator[Engine]:
    """A started engine whose node is `inbox` and `node`."""
    opened = await engine_case.open(clock)
    opened.pubsub.on_message(inbox)
    opened.control.on_command(node)
    await opened.start()
    yield opened
    await opened.close()


@pytest.fixture
def pass_time(engine: Engine, engine_case: EngineCase, clock: ManualClock) -> Callable[[float], Awaitable[None]]:
    return partial(engine_case.let_pass, engine, clock)


@pytest.fixture
def kept() -> Callable[..., PublishOptions]:
    """Make options of a channel with history."""

    def make(size: int = 10, ttl_s: float = 60.0, **more: object) -> PublishOptions:
        return PublishOptions(history_size=size, history_ttl_s=ttl_s, **more)  # type: ignore[arg-type]  # (a factory)

    return make


@pytest.fixture
def make_info() -> Callable[..., ClientInfo]:
    """Make what is known of a client; each has its own id unless one is given."""
    numbers = itertools.count(1)

    def make(user: str = "42", client: str = "") -> ClientInfo:
        return ClientInfo(user, client or f"c{next(numbers)}", b'{"name":"Ann"}', b'{"role":"host"}')

    return make
