"""A source in memory that obeys its port, and methods of the API that do as they are told."""

import asyncio
import json
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import pytest
from prometheus_client import CollectorRegistry

from broker.bell import Bell
from broker.errors import EngineUnavailable, StoreUnavailable, Unavailable
from broker.event_source import Again, Backlog, Item, Settled
from config.clock import ManualClock
from gateway.api.call import Calls
from gateway.api.errors import ApiError, ApiFailure
from gateway.api.messages import BroadcastRequest, BroadcastResponse, BroadcastResult, PublishRequest, PublishResult
from gateway.api.method import Method, table_of
from gateway.consumers.consumer import Consumer
from gateway.consumers.metrics import Metrics
from gateway.consumers.verdict import RetryRule

_RULE = RetryRule(base_s=1.0, cap_s=8.0, attempts=4)


class MemorySource:
    """Keeps order per key, as the outbox does."""

    def __init__(self, clock: ManualClock) -> None:
        self.clock, self._bell = clock, Bell(clock)
        self.items: list[tuple[Item, float]] = []  # with the moment from which each may come
        self.settled: list[Settled] = []
        self.is_away = False
        self.closed = 0
        self._held: list[str] = []

    def add(
        self, id_: str, method: str = "publish", payload: Any = None, key: str = "", fault: str = "", *, rings: bool = True
    ) -> None:
        body = payload if isinstance(payload, bytes) else json.dumps(payload or {"channel": id_, "data": {}}).encode()
        self.items.append((Item(id_, method, body, key, token=f"t{id_}", fault=fault), 0.0))
        if rings:
            self._bell.ring()

    async def open(self) -> None:
        pass

    async def fetch(self, limit: int) -> Sequence[Item]:
        self._answer()
        self._bell.silence()
        waiting = {item.key for item, at in self.items if at > self.clock.monotonic()}
        items = [item for item, _ in self.items if item.key not in waiting][:limit]
        self._held = [item.id for item in items]
        return items

    async def settle(self, settled: Sequence[Settled]) -> None:
        self._answer()
        for item, end in settled:
            assert item.id in self._held
            self.settled.append((item, end))
            (place,) = (number for number, (kept, _) in enumerate(self.items) if kept.id == item.id)
            del self.items[place]
            if isinstance(end, Again):
                again = msgspec.structs.replace(item, attempt=item.attempt + end.counts)
                self.items.insert(place, (again, self.clock.monotonic() + end.delay_s))
        self._held = []

    async def wait(self, seconds: float) -> None:
        self._answer()
        await self._bell.wait_for(seconds)

    async def backlog(self) -> Backlog:
        return Backlog(len(self.items), self.clock.now() if self.items else None)

    async def close(self) -> None:
        self.closed += 1

    def ends(self, kind: type) -> list[str]:
        """The ids that were settled so, in their order."""
        return [item.id for item, end in self.settled if isinstance(end, kind)]

    def _answer(self) -> None:
        if self.is_away:
            raise Unavailable("away")


class Api:
    """Methods that write down what they are asked, and fail where a test says so."""

    def __init__(self) -> None:
        self.published: list[str] = []
        self.keys: list[str] = []
        self.failures: dict[str, list[Exception]] = {}  # by channel, one after the other
        self.gate = asyncio.Event()
        self.gate.set()
        self.entered: list[str] = []

    def fail(self, channel: str, *errors: Exception) -> None:
        self.failures[channel] = list(errors)

    async def publish(self, request: PublishRequest) -> PublishResult:
        self.entered.append(request.channel)
        await self.gate.wait()
        if errors := self.failures.get(request.channel):
            raise errors.pop(0)
        self.published.append(request.channel)
        self.keys.append(request.idempotency_key)
        return PublishResult()

    async def broadcast(self, request: BroadcastRequest) -> BroadcastResult:
        return BroadcastResult(
            [
                BroadcastResponse(error=ApiError(102, "unknown channel"))
                if channel.startswith("unknown:")
                else BroadcastResponse(result=await self.publish(PublishRequest(channel, request.data)))
                for channel in request.channels
            ]
        )

    @property
    def calls(self) -> Calls:
        return Calls(
            table_of([Method("publish", PublishRequest, self.publish), Method("broadcast", BroadcastRequest, self.broadcast)])
        )


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def source(clock: ManualClock) -> MemorySource:
    return MemorySource(clock)


@pytest.fixture
def api() -> Api:
    return Api()


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def make_consumer(source: MemorySource, api: Api, clock: ManualClock, registry: CollectorRegistry) -> Callable[..., Consumer]:
    """Make a consumer of `source`; it is not running yet."""

    def make(**more: Any) -> Consumer:
        return Consumer("events", source, api.calls, Metrics(registry, clock), clock, rule=_RULE, **more)

    return make


@pytest.fixture
def errors() -> dict[str, Callable[[], Exception]]:
    """What a method may raise, by what it means."""
    return {
        "engine": lambda: EngineUnavailable("away"),
        "store": lambda: StoreUnavailable("away"),
        "bug": lambda: ZeroDivisionError(),
        "unknown": lambda: ApiFailure(ApiError(102, "unknown channel")),
    }


@pytest.fixture(scope="session")
def make_parts() -> Callable[[], tuple[MemorySource, Api, Consumer, ManualClock]]:
    """Make everything anew, for examples that must not share anything."""

    def make() -> tuple[MemorySource, Api, Consumer, ManualClock]:
        clock, api = ManualClock(), Api()
        source = MemorySource(clock)
        consumer = Consumer("events", source, api.calls, Metrics(CollectorRegistry(), clock), clock, rule=_RULE)
        return source, api, consumer, clock

    return make
