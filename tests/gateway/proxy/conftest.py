"""A real backend on a free port of loopback, and a world whose proxies ask it."""

import asyncio
import functools
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import msgspec
import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from uvicorn.server import ServerState

GUARD_S = 20


class Seen(msgspec.Struct):
    """A request as the backend saw it."""

    event: str
    headers: dict[str, str]
    body: dict[str, Any]


class Backend:
    """Answers each event as it was told; keeps what it was asked."""

    def __init__(self) -> None:
        self.asked: list[Seen] = []
        self.answers: dict[str, tuple[int, bytes]] = {}
        self.silent: set[str] = set()
        self.arrived = asyncio.Event()
        self.released = asyncio.Event()
        self.headers: dict[str, str] = {}
        self.url = ""

    def answer(self, event: str, answer: Any = None, *, status: int = 200) -> None:
        """Set the answer to an event: bytes as they are, anything else as JSON."""
        self.answers[event] = (status, answer if isinstance(answer, bytes) else json.dumps(answer).encode())

    def hold(self, event: str) -> None:
        """Answer an event only after `release`."""
        self.silent.add(event)

    def release(self) -> None:
        self.released.set()

    def bodies(self, event: str) -> list[dict[str, Any]]:
        return [seen.body for seen in self.asked if seen.event == event]

    async def serve(self, request: Request) -> Response:
        event = request.path_params["event"]
        body = await request.body()
        assert request.method == "POST"
        self.asked.append(Seen(event, dict(request.headers), json.loads(body)))
        self.arrived.set()
        if event in self.silent:
            await self.released.wait()
        status, content = self.answers.get(event, (200, b'{"result":{}}'))
        return Response(content, status, headers=self.headers)


@pytest.fixture
async def backend() -> AsyncIterator[Backend]:
    backend = Backend()
    app = Starlette(routes=[Route("/{event}", backend.serve, methods=["POST"])])
    config = uvicorn.Config(app, log_level="error", lifespan="off", ws="none", timeout_keep_alive=60)
    config.load()
    # Without uvicorn's own server, which takes two tenths of a second to end.
    state = ServerState()
    make = functools.partial(config.http_protocol_class, config=config, server_state=state, app_state={})
    server = await asyncio.get_running_loop().create_server(make, "127.0.0.1", 0)
    backend.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    yield backend
    backend.release()
    server.close()
    for connection in tuple(state.connections):
        connection.transport.abort()
    async with asyncio.timeout(GUARD_S):
        while state.tasks or state.connections:  # noqa: ASYNC110 (uvicorn tells nobody when the last one is gone)
            await asyncio.sleep(0)


@pytest.fixture
async def proxied(world: Callable[..., Any], backend: Backend) -> AsyncIterator[Callable[..., Any]]:
    """Make a world that asks the backend about the events named, and about all channels of the namespace `asked`."""
    worlds = []

    def make(*events: str, proxy: dict[str, Any] | None = None, **sections: Any) -> Any:
        def section(names: tuple[str, ...]) -> dict[str, Any]:
            settings = {"enabled": True, "timeout": "10s", **(proxy or {})}
            return {name: {"endpoint": f"{backend.url}/{name}", **settings} for name in names if name in events}

        client = {"proxy": section(("connect", "refresh")), **sections.pop("client", {})}
        channel_proxies = section(("subscribe", "publish", "sub_refresh"))
        options = {f"{name}_proxy_enabled": True for name in channel_proxies}
        asked = {"name": "asked", **options, **sections.pop("options", {})}
        channel = {"proxy": channel_proxies, "namespaces": [asked, *sections.pop("namespaces", [])]}
        rpc = {**({"proxy": section(("rpc",))["rpc"]} if "rpc" in events else {}), **sections.pop("rpc", {})}
        made = world(client=client, channel=channel, rpc=rpc, **sections)
        worlds.append(made)
        return made

    yield make
    for made in worlds:
        await made.node.tasks.drain(0.1)
        await made.node.proxies.close()


@pytest.fixture
def ask() -> Callable[..., Any]:
    """Send a command, wait until it was worked off, and give back what came."""

    async def send(world: Any, client: Any, **command: Any) -> list[dict[str, Any]]:
        replies = client.send({"id": 7, **command})
        await world.node.tasks.drain(GUARD_S)
        return [*replies, *client.read()]

    return send
