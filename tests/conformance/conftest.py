"""Started servers and clients that know nothing but bytes: what PROTOCOL.md states is tested on the wire."""

import asyncio
import contextlib
import itertools
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx
import jwt
import pytest
from centrifuge.protocol import client_pb2
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

COMMAND: Final = Path(sys.executable).with_name("heliograph")
EXAMPLE: Final = Path(__file__).parents[2] / "config" / "examples" / "conformance.toml"
STRICT: Final = Path(__file__).with_name("strict.toml")
STRICT_SECRET: Final = "secret-of-the-conformance-tests-0123456789"
GUARD_S: Final = 30  # only ends a hang

# The same rules with short times, for what only comes with time.
BRIEF: Final = {
    "HELIOGRAPH_CLIENT__PING_INTERVAL": "1s",
    "HELIOGRAPH_CLIENT__PONG_TIMEOUT": "800ms",
    "HELIOGRAPH_CLIENT__STALE_CLOSE_DELAY": "2s",
    "HELIOGRAPH_CLIENT__EXPIRED_CLOSE_DELAY": "300ms",
    "HELIOGRAPH_CLIENT__EXPIRED_SUB_CLOSE_DELAY": "300ms",
    "HELIOGRAPH_CLIENT__USER_CONNECTION_LIMIT": "2",
    "HELIOGRAPH_HTTP_API__ERROR_MODE": "transport",
}


@dataclass
class Server:
    """A started `heliograph serve`."""

    process: subprocess.Popen[bytes]
    port: int
    api_key: str
    secret: str
    log: Path
    http: httpx.Client = field(default_factory=lambda: httpx.Client(timeout=GUARD_S))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def token(self, user: str = "42", **claims: Any) -> str:
        """Make a connection token, or with `channel` one for a subscription."""
        return jwt.encode({"sub": user, **claims}, self.secret, "HS256")

    def post(self, method: str, body: Any, **headers: str) -> httpx.Response:
        """Call the API; bytes go as they are."""
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self.http.post(f"{self.url}/api/{method}", content=content, headers={"X-API-Key": self.api_key, **headers})

    def call(self, method: str, **body: Any) -> Any:
        """Call a method that succeeds; gives its result."""
        answer = self.post(method, body).json()
        assert answer.keys() == {"result"}, answer
        return answer["result"]

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(GUARD_S)


def start(directory: Path, config: Path, api_key: str, secret: str, **environ: str) -> Server:
    """Start a server on a port that it finds free, and wait until it answers."""
    scrubbed = {name: value for name, value in os.environ.items() if not name.startswith("HELIOGRAPH_")}
    log = directory / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [str(COMMAND), "serve", "--config", str(config), "--port", "0"],
            cwd=directory,
            env={**scrubbed, **environ},
            stdout=output,
            stderr=output,
        )
    port = 0
    for _ in range(GUARD_S * 20):
        if (said := re.search(r" serves http://127\.0\.0\.1:(\d+)\n", log.read_text())) is not None:
            port = int(said[1])
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", port), 1).close()
            return Server(process, port, api_key, secret, log)
        assert process.poll() is None, log.read_text()
        time.sleep(0.05)
    raise AssertionError("the server did not start")


def serve(directory: Path, config: Path, api_key: str, secret: str, **environ: str) -> Iterator[Server]:
    """Hand out a server for a session; it must end well and have met no bug of ours."""
    server = start(directory, config, api_key, secret, **environ)
    yield server
    server.http.close()
    assert server.stop() == 0
    log = server.log.read_text()
    assert "Traceback" not in log, log


@pytest.fixture(scope="session")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server on the shipped conformance example."""
    yield from serve(tmp_path_factory.mktemp("shipped"), EXAMPLE, "test-api-key", "secret")


@pytest.fixture(scope="session")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that is not insecure, with a namespace for every rule."""
    yield from serve(tmp_path_factory.mktemp("strict"), STRICT, "strict-api-key", STRICT_SECRET)


@pytest.fixture(scope="session")
def brief(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The strict server with short times, two connections a user, and an API that answers errors by status."""
    yield from serve(tmp_path_factory.mktemp("brief"), STRICT, "strict-api-key", STRICT_SECRET, **BRIEF)


@pytest.fixture(scope="session")
def serve_config(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path], contextlib.AbstractContextManager[Server]]:
    """Serve a configuration with the strict secret and key."""
    serving = contextlib.contextmanager(serve)
    return lambda config: serving(tmp_path_factory.mktemp("own"), config, "strict-api-key", STRICT_SECRET)


@pytest.fixture
def soon() -> Callable[[int], int]:
    """Tell the Unix second so many seconds from now."""
    return lambda seconds: int(time.time()) + seconds


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[Server]:
    """A strict server that the test may stop."""
    server = start(tmp_path, STRICT, "strict-api-key", STRICT_SECRET)
    yield server
    if server.process.poll() is None:
        server.process.kill()
        server.process.wait(GUARD_S)


@pytest.fixture
def channel() -> Callable[..., str]:
    """Make a fresh channel name, with its namespace and prefix."""
    return lambda namespace="", prefix="": f"{prefix}{namespace + ':' if namespace else ''}{uuid.uuid4().hex[:10]}"


@pytest.fixture
def user() -> str:
    """A user that no other test has."""
    return f"u-{uuid.uuid4().hex[:8]}"


class Peer:
    """A JSON client: sends what it is told, keeps what came in its order, and answers pings unless told not to."""

    def __init__(self, server: Server, socket: ClientConnection, *, pongs: bool) -> None:
        self.server, self.socket, self.pongs = server, socket, pongs
        self.frames: list[str | bytes] = []
        self.log: list[dict[str, Any]] = []
        self.waiting: list[dict[str, Any]] = []
        self._ids = itertools.count(1)

    async def raw(self, frame: str | bytes) -> None:
        await self.socket.send(frame)

    async def send(self, *commands: Mapping[str, Any]) -> None:
        """Send commands in one frame."""
        await self.raw("\n".join(json.dumps(command) for command in commands))

    async def message(self) -> dict[str, Any]:
        """Give the oldest message that nobody took yet, pings too.

        Raises:
            ConnectionClosed: There is none any more.
        """
        return await self.until(lambda _message: True)

    async def until(self, fits: Callable[[dict[str, Any]], Any]) -> dict[str, Any]:
        """Give the oldest message not taken yet that fits; the others stay."""
        looked_at = 0
        while True:
            for at in range(looked_at, len(self.waiting)):
                if fits(self.waiting[at]):
                    return self.waiting.pop(at)
            looked_at = len(self.waiting)
            await self._receive()

    async def _receive(self) -> None:
        async with asyncio.timeout(GUARD_S):
            frame = await self.socket.recv()
        self.frames.append(frame)
        for line in frame.split("\n" if isinstance(frame, str) else b"\n"):
            message = json.loads(line)
            self.log.append(message)
            self.waiting.append(message)
            if not message and self.pongs:
                await self.raw("{}")

    async def ask(self, **command: Any) -> dict[str, Any]:
        """Send one command and give its reply."""
        number = next(self._ids)
        await self.send({"id": number, **command})
        return await self.until(lambda message: message.get("id") == number)

    async def result(self, **command: Any) -> Any:
        """Ask what succeeds."""
        (kind,) = command
        reply = await self.ask(**command)
        assert kind in reply, reply
        return reply[kind]

    async def error(self, **command: Any) -> int:
        """Ask what fails; gives the code. Messages are never empty, and only some errors are temporary."""
        error = (await self.ask(**command))["error"]
        assert error["message"]
        assert error.get("temporary", False) == (error["code"] in (100, 111, 113))
        return int(error["code"])

    async def publication(self, channel: str = "") -> dict[str, Any]:
        """Give the next publication, of a channel if named."""
        push = await self.push("pub", channel)
        return dict(push["pub"])

    async def push(self, kind: str, channel: str = "") -> dict[str, Any]:
        """Give the next push of a kind."""
        message = await self.until(
            lambda message: kind in message.get("push", {}) and channel in ("", message["push"].get("channel"))
        )
        return dict(message["push"])

    async def closed(self) -> tuple[int, str]:
        """Read to the end; gives code and reason, which a 3xxx code never comes without and which is never JSON."""
        with contextlib.suppress(ConnectionClosed):
            while True:
                await self.message()
        code, reason = self.socket.close_code, self.socket.close_reason or ""
        assert code is not None, "the connection ended without a close frame"
        if code >= 3000:
            assert reason
            assert not _is_json(reason)
        return code, reason

    async def subscribe(self, channel: str, **request: Any) -> dict[str, Any]:
        """Subscribe and give the result."""
        return dict(await self.result(subscribe={"channel": channel, **request}))


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


Open = Callable[..., Any]


@pytest.fixture
async def open_peer() -> AsyncIterator[Open]:
    """Open a WebSocket that has said nothing yet."""
    async with contextlib.AsyncExitStack() as stack:

        async def make(server: Server, path: str = "/connection/websocket", *, pongs: bool = True, **options: Any) -> Peer:
            url = f"ws://127.0.0.1:{server.port}{path}"
            opened = await stack.enter_async_context(connect(url, max_size=None, compression=None, **options))
            return Peer(server, opened, pongs=pongs)

        yield make


@pytest.fixture
def connected(open_peer: Open) -> Open:
    """Open a WebSocket and connect as a user, with further claims."""

    async def make(server: Server, user: str = "42", *, pongs: bool = True, **claims: Any) -> Peer:
        peer: Peer = await open_peer(server, pongs=pongs)
        await peer.result(connect={"token": server.token(user, **claims)})
        return peer

    return make


class ProtobufPeer:
    """A Protobuf client, with the message classes of centrifuge-python."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.frames: list[str | bytes] = []
        self._replies: list[Any] = []

    async def send(self, *commands: Mapping[str, Any]) -> None:
        """Send commands in one frame, each behind its length."""
        await self.socket.send(b"".join(delimited(client_pb2.Command(**command)) for command in commands))

    async def reply(self) -> Any:
        """Give the next reply that is no ping."""
        while not self._replies:
            async with asyncio.timeout(GUARD_S):
                frame = await self.socket.recv()
            self.frames.append(frame)
            assert isinstance(frame, bytes)
            self._replies += parted(frame)
        return self._replies.pop(0)

    async def until(self, fits: Callable[[Any], Any]) -> Any:
        while not fits(reply := await self.reply()):
            pass
        return reply


def delimited(message: Any) -> bytes:
    """Put a message behind its length as a varint."""
    body, size, prefix = message.SerializeToString(), message.ByteSize(), bytearray()
    while size > 127:
        prefix.append(size & 127 | 128)
        size >>= 7
    return bytes((*prefix, size)) + body


def parted(frame: bytes) -> list[Any]:
    """Read all messages of a frame; pings are left out."""
    replies, at = [], 0
    while at < len(frame):
        size = shift = 0
        while True:
            byte, at = frame[at], at + 1
            size |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                break
        if size:
            replies.append(client_pb2.Reply.FromString(frame[at : at + size]))
        at += size
    return replies


@pytest.fixture
async def open_protobuf() -> AsyncIterator[Open]:
    """Open a WebSocket that speaks Protobuf."""
    async with contextlib.AsyncExitStack() as stack:

        async def make(server: Server, **options: Any) -> ProtobufPeer:
            options = options or {"subprotocols": ["centrifuge-protobuf"]}
            url = f"ws://127.0.0.1:{server.port}/connection/websocket"
            return ProtobufPeer(await stack.enter_async_context(connect(url, max_size=None, compression=None, **options)))

        yield make


class Stream:
    """A response that never ends by itself, read message by message."""

    def __init__(self, server: Server, http: httpx.AsyncClient, response: httpx.Response) -> None:
        self.server, self.http, self.response = server, http, response
        self._lines = response.aiter_lines()
        self._is_events = response.headers["content-type"].startswith("text/event-stream")
        self.session = self.node = ""

    async def message(self) -> dict[str, Any] | None:
        """Give the next message; None at the end of the response."""
        async with asyncio.timeout(GUARD_S):
            async for line in self._lines:
                if self._is_events and line:
                    assert line.startswith("data: "), line
                    line = line.removeprefix("data: ")
                if line:
                    return dict(json.loads(line))
        return None

    async def until(self, fits: Callable[[dict[str, Any]], Any]) -> dict[str, Any]:
        while (message := await self.message()) is not None:
            if fits(message):
                return message
        raise AssertionError("the stream has ended")

    async def to_end(self) -> list[dict[str, Any]]:
        """Give all messages up to the end of the response."""
        messages = []
        while (message := await self.message()) is not None:
            messages.append(message)
        return messages

    async def emulate(self, *commands: Mapping[str, Any]) -> int:
        """Post commands up; gives the HTTP status."""
        data = "\n".join(json.dumps(command) for command in commands)
        body = {"session": self.session, "node": self.node, "data": data}
        return (await self.http.post(f"{self.server.url}/emulation", json=body)).status_code

    async def connect(self) -> dict[str, Any]:
        """Take the connect reply of an emulated transport, and keep what the way up needs."""
        result = dict((await self.until(lambda message: message.get("id") == 1))["connect"])
        self.session, self.node = result["session"], result["node"]
        return result


@pytest.fixture
async def open_stream() -> AsyncIterator[Open]:
    """Open an HTTP stream: POST with a body, or GET with the body in `cf_connect`."""
    async with contextlib.AsyncExitStack() as stack:
        http = await stack.enter_async_context(httpx.AsyncClient(timeout=GUARD_S))

        async def make(server: Server, path: str, body: Mapping[str, Any] | None, *, method: str = "POST") -> Stream:
            text = json.dumps(body)
            sent = {"content": text} if method == "POST" else {"params": {"cf_connect": text}}
            response = await stack.enter_async_context(http.stream(method, f"{server.url}/connection/{path}", **sent))
            assert response.status_code == 200
            return Stream(server, http, response)

        yield make
