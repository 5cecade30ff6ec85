"""Engines to hold against the ports, and what a node hands them: a door for messages and a hand for commands."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field

import pytest

from broker.control import Command, ConnectionInfo, NodeInfo, SubscriptionInfo, TokenInfo
from broker.engines.engine import Engine
from broker.engines.memory.engine import MemoryEngine
from broker.model import ClientInfo, Join, Leave, Publication, PublishOptions
from config.clock import Clock, ManualClock

Message = Publication | Join | Leave

# Ends a test that would hang; no test depends on its length.
GUARD_S = 30


@dataclass(frozen=True)
class EngineCase:
    """An engine under test. One whose time passes on a server says so, and the tests that move the clock skip it by name."""

    name: str
    open: Callable[[Clock], Awaitable[Engine]]
    obeys_clock: bool = True
    marks: tuple[pytest.MarkDecorator, ...] = field(default=())


async def open_memory(clock: Clock) -> Engine:
    return MemoryEngine(clock)


ENGINES = [
    EngineCase("memory", open_memory),
]


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


@pytest.fixture(params=[pytest.param(case, id=case.name, marks=case.marks) for case in ENGINES])
def engine_case(request: pytest.FixtureRequest) -> EngineCase:
    return request.param


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
def pass_time(engine_case: EngineCase, clock: ManualClock) -> Callable[[float], Awaitable[None]]:
    if not engine_case.obeys_clock:
        pytest.skip(f"{engine_case.name}: its time passes on a server")
    return clock.advance


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
