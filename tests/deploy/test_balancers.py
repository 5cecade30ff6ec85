"""The examples for nginx and HAProxy, with the real ones before two gateways: every transport, refusals, a dying node."""

import asyncio
import contextlib
import json

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

pytestmark = [pytest.mark.redis, pytest.mark.slow]

CONNECT = json.dumps({"id": 1, "connect": {}})
SUBSCRIBE = json.dumps({"id": 2, "subscribe": {"channel": "news"}})
GUARD_S = 60
BALANCERS = ("nginx", "haproxy")


class SocketClient:
    """A client on a WebSocket."""

    def __init__(self, fleet):
        self.fleet = fleet

    async def open(self):
        self.peer = await connect(f"ws://127.0.0.1:{self.fleet.port}/connection/websocket")
        await self.peer.send(f"{CONNECT}\n{SUBSCRIBE}")
        self.lines = []
        await self.until(lambda message: message.get("id") == 2)
        return self

    async def until(self, fits):
        """Read up to a message that fits; None once the connection is gone."""
        async with asyncio.timeout(GUARD_S):
            while True:
                while self.lines:
                    if fits(message := json.loads(self.lines.pop(0))):
                        return message
                try:
                    self.lines += (await self.peer.recv()).splitlines()
                except ConnectionClosed:
                    return None

    async def close(self):
        await self.peer.close()


class StreamClient:
    """A client on a response that never ends, whose way up are requests of their own, to whichever node they come."""

    path, prefix = "http_stream", ""

    def __init__(self, fleet):
        self.fleet, self.stack = fleet, contextlib.AsyncExitStack()

    async def open(self):
        http = await self.stack.enter_async_context(httpx.AsyncClient(timeout=GUARD_S))
        stream = http.stream("POST", f"{self.fleet.url}/connection/{self.path}", content=CONNECT)
        response = await self.stack.enter_async_context(stream)
        assert response.status_code == 200
        self.lines = response.aiter_lines()
        reply = (await self.until(lambda message: message.get("id") == 1))["connect"]
        # Twice, each over a connection of its own, so that the balancer asks both nodes: one of them has to hand it on.
        for number, command in ((2, SUBSCRIBE), (3, json.dumps({"id": 3, "presence": {"channel": "news"}}))):
            body = {"node": reply["node"], "session": reply["session"], "data": command}
            async with httpx.AsyncClient(timeout=GUARD_S) as other:
                assert (await other.post(f"{self.fleet.url}/emulation", json=body)).status_code == 204
            await self.until(lambda message, number=number: message.get("id") == number)
        return self

    async def until(self, fits):
        async with asyncio.timeout(GUARD_S):
            with contextlib.suppress(httpx.HTTPError):
                async for line in self.lines:
                    text = line.removeprefix(self.prefix)
                    if text and fits(message := json.loads(text)):
                        return message
        return None

    async def close(self):
        await self.stack.aclose()


class EventClient(StreamClient):
    path, prefix = "sse", "data: "


@pytest.fixture
async def open_clients(fleet):
    """Open clients of each kind through the balancer; they are closed at the end."""
    opened = []

    async def make(kinds):
        fresh = [await kind(fleet).open() for kind in kinds]
        opened.extend(fresh)
        return fresh

    yield make
    for client in opened:
        await client.close()


async def hears(client, data):
    message = await client.until(lambda message: "pub" in message.get("push", {}))
    return message is not None and message["push"]["pub"]["data"] == data


@pytest.mark.parametrize("balancer", BALANCERS)
async def test_every_transport_passes_and_survives_the_death_of_a_node(fleet, open_clients, balancer):
    fleet.start_node("one")
    fleet.start_node("two")
    fleet.start_balancer(balancer)

    kinds = [SocketClient, EventClient, StreamClient] * 2
    clients = await open_clients(kinds)
    counts = await fleet.clients()
    assert counts.keys() == {"one", "two"}
    assert sum(counts.values()) == 6 and all(counts.values()), "spread over both"
    await fleet.call("publish", channel="news", data=1)
    assert await asyncio.gather(*(hears(client, 1) for client in clients)) == [True] * 6, "at once, not in a buffer"

    # A node dies; its clients see the end, come back at their first attempt, and hear what is published then.
    fleet.processes["one"].kill()
    fleet.processes["one"].wait(GUARD_S)
    await fleet.call("publish", channel="news", data=2)
    alive = await asyncio.gather(*(hears(client, 2) for client in clients))
    assert alive.count(False) == counts["one"]
    back = await open_clients([kind for kind, is_alive in zip(kinds, alive, strict=True) if not is_alive])
    await fleet.call("publish", channel="news", data=3)
    everybody = [*back, *(client for client, is_alive in zip(clients, alive, strict=True) if is_alive)]
    assert await asyncio.gather(*(hears(client, 3) for client in everybody)) == [True] * 6


@pytest.mark.parametrize("balancer", BALANCERS)
async def test_a_node_that_refuses_is_passed_over(fleet, open_clients, balancer):
    fleet.start_node("one", CLIENT__CONNECTION_LIMIT="1")
    fleet.start_node("two")
    fleet.start_balancer(balancer)
    await open_clients([SocketClient, EventClient, StreamClient] * 2)
    assert await fleet.clients() == {"one": 1, "two": 5}


@pytest.mark.parametrize("balancer", BALANCERS)
async def test_what_is_the_operators_is_not_for_the_public(fleet, balancer):
    fleet.start_node("one")
    fleet.start_node("two")
    fleet.start_balancer(balancer)
    async with httpx.AsyncClient(base_url=fleet.url) as http:
        for path in ("/health", "/health/ready", "/metrics", "/"):
            assert (await http.get(path)).status_code == 404, path
        assert (await http.post("/api/info", json={})).status_code == 401
