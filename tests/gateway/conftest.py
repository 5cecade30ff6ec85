"""A node on the memory engine with a clock that stands still, and clients whose transport is a list."""

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import httpx
import jwt
import pytest

from broker.engines.memory.engine import MemoryEngine
from config.clock import ManualClock
from config.settings import Settings
from gateway.api.call import Calls
from gateway.api.channels import channel_methods
from gateway.api.connections import connection_methods
from gateway.api.endpoint import ApiEndpoint
from gateway.api.method import Method, table_of
from gateway.api.publishing import publishing_methods
from gateway.api.rpc import ServerRpc, rpc_api_methods
from gateway.api.trust import trust_methods
from gateway.app import GatewayApp
from gateway.node import Node
from gateway.protocol.disconnects import Disconnect
from gateway.protocol.json_codec import JsonCodec
from gateway.session.session import Session
from gateway.transports.frames import WebSocketWire

SECRET = "secret-of-the-tests-0123456789abcdef"
API_KEY = "key-of-the-tests"
WIRE = WebSocketWire(JsonCodec())


class ListTransport:
    """Plays the port `Transport`: keeps what it is told."""

    def __init__(self, headers: Mapping[str, str]) -> None:
        self.wire = WIRE
        self.headers = headers
        self.address = "192.0.2.7"
        self.written = bytearray()
        self.closed: Disconnect | None = None
        self.is_aborted = False
        self.is_paused = False

    def write(self, frame: bytes) -> None:
        self.written += frame

    def close(self, disconnect: Disconnect) -> None:
        self.closed = disconnect

    def abort(self) -> None:
        self.is_aborted = True

    def pause_reading(self) -> None:
        self.is_paused = True

    def resume_reading(self) -> None:
        self.is_paused = False


class WireClient:
    """A client as its peer sees it: sends commands, reads what was written since."""

    def __init__(self, node: Node, headers: Mapping[str, str] | None = None) -> None:
        self.node = node
        self.transport = ListTransport(headers or {})
        self.session: Session = node.open_session(self.transport)
        self.frames: list[list[dict[str, Any]]] = []

    def send(self, *commands: dict[str, Any]) -> list[dict[str, Any]]:
        """Send commands in one frame, end the loop turn, and give back what came."""
        return self.send_bytes("\n".join(json.dumps(command) for command in commands).encode())

    def send_bytes(self, frame: bytes) -> list[dict[str, Any]]:
        self.session.receive(frame)
        return self.read()

    def read(self) -> list[dict[str, Any]]:
        """End the loop turn and give back every message since the last read."""
        self.node.turn.flush()
        data, self.transport.written = bytes(self.transport.written), bytearray()
        self.frames = [[json.loads(line) for line in payload.split(b"\n")] for payload in _payloads(data)]
        return [message for frame in self.frames for message in frame]

    def connect(self, **request: Any) -> dict[str, Any]:
        """Connect and give back the result."""
        reply, *_joins = self.send({"id": 1, "connect": request})
        return reply["connect"]

    @property
    def closed(self) -> tuple[int, str] | None:
        """Code and reason that the server closed with."""
        closed = self.transport.closed
        return (closed.code, closed.reason) if closed else None

    def vanish(self) -> None:
        """The network connection breaks."""
        self.node.close_session(self.session, 3000)


def _payloads(data: bytes) -> list[bytes]:
    payloads = []
    while data:
        size, at = data[1], 2
        if size == 126:
            size, at = int.from_bytes(data[2:4], "big"), 4
        elif size == 127:
            size, at = int.from_bytes(data[2:10], "big"), 10
        payloads.append(data[at : at + size])
        data = data[at + size :]
    return payloads


class World:
    """A node, its clock, and a way to get clients."""

    def __init__(self, settings: Settings, rpc_methods: Mapping[str, Any]) -> None:
        self.clock = ManualClock()
        self.settings = settings
        self.engine = MemoryEngine(self.clock)
        self.node = Node(settings, self.engine, self.clock, version="test", rpc_methods=rpc_methods)

    def use_presence(self, presence: Any) -> None:
        """Put another engine's presence beneath the node; before anybody connects."""
        self.engine.presence = presence
        self.node = Node(self.settings, self.engine, self.clock, version="test", rpc_methods={})

    def client(self, headers: Mapping[str, str] | None = None) -> WireClient:
        return WireClient(self.node, headers)

    def connected(self, user: str = "42", **claims: Any) -> WireClient:
        client = self.client()
        client.connect(token=self.token(user, **claims))
        return client

    def token(self, user: str = "42", **claims: Any) -> str:
        return jwt.encode({"sub": user, **claims}, SECRET, "HS256")

    def now(self) -> int:
        return int(self.clock.now().timestamp())

    def pass_time(self, seconds: float) -> None:
        """Let the node's wheel turn as the seconds pass, tick by tick."""
        tick_s = self.node.wheel.tick_s
        for _ in range(round(seconds / tick_s)):
            self.clock.move(tick_s)
            self.node._tick()
            assert self.node._ticker is not None
            self.node._ticker.cancel()


class Api:
    """The HTTP side of a world's node, called as an ASGI application."""

    def __init__(self, world: World, methods: Iterable[Method], rpc: ServerRpc | None = None) -> None:
        node, engine = world.node, world.engine
        table = table_of(
            [
                *publishing_methods(node.rules, engine.pubsub),
                *channel_methods(node.rules, engine.history, engine.presence, engine.control),
                *connection_methods(node.rules, engine.control),
                *trust_methods(engine.revocation, engine.control, world.clock),
                *rpc_api_methods(rpc),
                *methods,
            ]
        )
        self.calls = Calls(table)
        self.app = GatewayApp(world.settings, node, ApiEndpoint(world.settings.http_api, self.calls))
        self.http = httpx.AsyncClient(transport=httpx.ASGITransport(self.app), base_url="http://node")

    async def post(self, method: str, body: Any, headers: Mapping[str, str] | None = None) -> httpx.Response:
        """Post a body (bytes as they are, anything else as JSON) with the key."""
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        return await self.http.post(f"/api/{method}", content=content, headers={"X-API-Key": API_KEY, **(headers or {})})

    async def result(self, method: str, /, **request: Any) -> Any:
        """Call a method that succeeds."""
        response = await self.post(method, request)
        assert response.status_code == 200, response.text
        assert response.headers["content-type"] == "application/json"
        answer = response.json()
        assert answer.keys() == {"result"}, answer
        return answer["result"]

    async def error(self, method: str, /, **request: Any) -> tuple[int, str]:
        """Call a method that fails; gives code and message."""
        response = await self.post(method, request)
        assert response.status_code == 200, response.text
        answer = response.json()
        assert answer.keys() == {"error"}, answer
        assert answer["error"].keys() == {"code", "message"}
        return answer["error"]["code"], answer["error"]["message"]


@pytest.fixture
def api() -> Callable[..., Api]:
    """Open the HTTP API of a world, with further methods."""
    return lambda world, methods=(), rpc=None: Api(world, methods, rpc)


@pytest.fixture
def world() -> Callable[..., World]:
    """Make a world from sections of settings; tokens are signed with the tests' secret."""

    def make(*, rpc_methods: Mapping[str, Any] | None = None, **sections: Any) -> World:
        client = {"token": {"hmac_secret_key": SECRET}, **sections.pop("client", {})}
        sections = {"http_api": {"keys": [API_KEY]}, **sections}
        return World(Settings.model_validate({"client": client, **sections}), rpc_methods or {})

    return make
