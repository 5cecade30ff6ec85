"""A gateway on a free loopback port, under both event loops, and peers whose every byte the test decides."""

import asyncio
import contextlib
import json
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
import uvloop
from websockets.client import ClientProtocol
from websockets.frames import Frame, Opcode
from websockets.http11 import Response
from websockets.uri import parse_uri

from gateway.api.call import Calls
from gateway.api.endpoint import ApiEndpoint
from gateway.app import GatewayApp, GatewayServer
from gateway.tls import ServerTls

GUARD_S = 30  # only ends a hang


class Peer:
    """A client that speaks WebSocket by `websockets`' Sans-I/O protocol, or by bytes of its own."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, uri: str, **options: Any) -> None:
        self.reader, self.writer = reader, writer
        self.protocol = ClientProtocol(parse_uri(uri), max_size=None, **options)
        self.response: Response | None = None
        self._frames: list[Frame] = []

    async def shake_hands(self, headers: dict[str, str]) -> Response:
        request = self.protocol.connect()
        for name, value in headers.items():
            if name in request.headers:
                del request.headers[name]
            request.headers[name] = value
        self.protocol.send_request(request)
        self.flush()
        while self.response is None:
            await self._take()
        return self.response

    def flush(self) -> None:
        for data in self.protocol.data_to_send():
            if data:
                self.writer.write(data)
            else:
                self.writer.write_eof()

    def raw(self, data: bytes) -> None:
        """Write bytes as they are."""
        self.writer.write(data)

    def frame(self, opcode: Opcode, payload: bytes, *, fin: bool = True) -> None:
        """Write one masked frame."""
        self.raw(Frame(opcode, payload, fin).serialize(mask=True))

    def command(self, **command: Any) -> None:
        self.frame(Opcode.TEXT, json.dumps(command).encode())

    async def next(self) -> Frame | None:
        """Give the next frame; None at the end of the stream."""
        while not self._frames:
            if not await self._take():
                return None
        return self._frames.pop(0)

    async def message(self) -> dict[str, Any]:
        """Give the next frame's one message."""
        frame = await self.next()
        assert frame is not None and frame.opcode is Opcode.TEXT, frame
        return json.loads(bytes(frame.data))

    async def closed(self) -> tuple[int, str]:
        """Read to the end of the stream; give code and reason of the close frame, (1006, "") without one."""
        while await self.next() is not None:
            pass
        close = self.protocol.close_rcvd
        return (int(close.code), close.reason) if close else (1006, "")

    async def connect(self, token: str) -> dict[str, Any]:
        self.command(id=1, connect={"token": token})
        return (await self.message())["connect"]

    async def _take(self) -> bool:
        async with asyncio.timeout(GUARD_S):
            try:
                data = await self.reader.read(65536)
            except ConnectionError:
                data = b""
        if data:
            self.protocol.receive_data(data)
        else:
            self.protocol.receive_eof()
        for event in self.protocol.events_received():
            if isinstance(event, Response):
                self.response = event
            else:
                self._frames.append(event)
        with contextlib.suppress(OSError):
            self.flush()
        return bool(data)


class HttpPeer:
    """A client of the HTTP transports: one request, and its response as it comes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self.status = 0
        self.headers: dict[str, str] = {}

    async def ask(self, method: str, target: str, body: bytes, headers: dict[str, str]) -> None:
        lines = [f"{method} {target} HTTP/1.1", "Host: a", f"Content-Length: {len(body)}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        self.writer.write("\r\n".join([*lines, "", ""]).encode() + body)
        async with asyncio.timeout(GUARD_S):
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        self.status = int(head[0].split()[1])
        self.headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:-2])}

    async def chunk(self) -> bytes:
        """Give the next chunk of a stream; empty at its end, also where the connection just broke."""
        async with asyncio.timeout(GUARD_S):
            try:
                size = int(await self.reader.readuntil(b"\r\n"), 16)
                return (await self.reader.readexactly(size + 2))[:-2]
            except (asyncio.IncompleteReadError, ConnectionError):
                return b""

    async def until(self, ending: bytes) -> bytes:
        """Read a stream until what came ends so."""
        got = b""
        while not got.endswith(ending):
            chunk = await self.chunk()
            assert chunk, got
            got += chunk
        return got

    async def rest(self) -> bytes:
        """Read a stream to its end."""
        got = b""
        while chunk := await self.chunk():
            got += chunk
        return got

    async def connect(self) -> dict[str, Any]:
        """Take the connect reply of an emulated connection."""
        line = (await self.until(b"\n")).strip().removeprefix(b"data: ")
        return json.loads(line.splitlines()[0])["connect"]


class Gateway:
    """A served world."""

    def __init__(self, world: Any, port: int, app: GatewayApp, server: GatewayServer) -> None:
        self.world, self.node, self.port, self.app, self.server = world, world.node, port, app, server
        self.tls: ServerTls | None = None
        self._peers: list[Peer | HttpPeer] = []

    @property
    def uri(self) -> str:
        return f"ws://127.0.0.1:{self.port}/connection/websocket"

    async def knock(
        self, *, path: str = "", receive_buffer: int = 0, trust: ssl.SSLContext | None = None, **options: Any
    ) -> tuple[Peer, Response]:
        """Ask for an upgrade, over TLS where `trust` says whom to; options are those of `ClientProtocol`, and `headers`."""
        headers = options.pop("headers", {})
        connection = socket.socket()
        connection.setblocking(False)
        if receive_buffer:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        await asyncio.get_running_loop().sock_connect(connection, ("127.0.0.1", self.port))
        over: dict[str, Any] = {"ssl": trust, "server_hostname": "localhost"} if trust else {}
        reader, writer = await asyncio.open_connection(sock=connection, **over)
        uri = f"ws://127.0.0.1:{self.port}{path}" if path else self.uri
        peer = Peer(reader, writer, uri, **options)
        self._peers.append(peer)
        return peer, await peer.shake_hands(headers)

    async def open(self, **options: Any) -> Peer:
        """Open a WebSocket."""
        peer, response = await self.knock(**options)
        assert response.status_code == 101, response.body
        return peer

    async def connected(self, user: str = "42", **options: Any) -> Peer:
        """Open a WebSocket and connect."""
        peer = await self.open(**options)
        await peer.connect(self.world.token(user))
        return peer

    async def subscribed(self, user: str = "42", channel: str = "a", **options: Any) -> Peer:
        """Open a WebSocket, connect and subscribe."""
        peer = await self.connected(user, **options)
        peer.command(id=2, subscribe={"channel": channel})
        assert "subscribe" in await peer.message()
        return peer

    async def ask(
        self,
        method: str,
        target: str,
        body: bytes = b"",
        *,
        receive_buffer: int = 0,
        trust: ssl.SSLContext | None = None,
        **headers: str,
    ) -> HttpPeer:
        """Send an HTTP request, over TLS where `trust` says whom to, and read the head of its response; header names are given
        with underscores."""
        connection = socket.socket()
        connection.setblocking(False)
        if receive_buffer:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        await asyncio.get_running_loop().sock_connect(connection, ("127.0.0.1", self.port))
        over: dict[str, Any] = {"ssl": trust, "server_hostname": "localhost"} if trust else {}
        peer = HttpPeer(*await asyncio.open_connection(sock=connection, limit=1024 if receive_buffer else 2**20, **over))
        self._peers.append(peer)
        await peer.ask(method, target, body, {name.replace("_", "-"): value for name, value in headers.items()})
        return peer

    async def emulated(self, *commands: dict[str, Any], **options: Any) -> tuple[HttpPeer, dict[str, Any]]:
        """Open an HTTP stream in JSON, connect, and give the connect result too."""
        frame = [{"id": 1, "connect": {"token": self.world.token()}}, *commands]
        body = "\n".join(map(json.dumps, frame)).encode()
        peer = await self.ask("POST", "/connection/http_stream", body, **options)
        return peer, await peer.connect()

    async def emulate(self, result: dict[str, Any], *commands: dict[str, Any]) -> int:
        """Post commands to the client of a connect result; gives the status."""
        data = "\n".join(map(json.dumps, commands))
        body = json.dumps({"node": result["node"], "session": result["session"], "data": data}).encode()
        return (await self.ask("POST", "/emulation", body)).status

    async def until(self, fact: Callable[[], bool]) -> None:
        """Give turns to the loop until a fact holds."""
        async with asyncio.timeout(GUARD_S):
            while not fact():  # noqa: ASYNC110 (facts of the server need no event of their own)
                await asyncio.sleep(0)

    async def close(self) -> None:
        for peer in self._peers:
            peer.writer.close()
        for transport in tuple(self.node.transports):
            transport.abort()


@pytest.fixture
def serving(world):
    """Serve a world made of sections of settings on a free port."""

    @contextlib.asynccontextmanager
    async def serve(**sections: Any) -> AsyncIterator[Gateway]:
        made = world(**sections)
        listener = socket.socket()
        listener.bind(("127.0.0.1", 0))
        listener.listen(128)
        listener.setblocking(False)
        app = GatewayApp(made.settings, made.node, ApiEndpoint(made.settings.http_api, Calls({})))
        tls = ServerTls(made.settings.http.tls, made.clock) if made.settings.http.tls.is_on else None
        server = GatewayServer(app, made.node, tls)
        made.node.start()
        running = asyncio.create_task(server.run_on(listener))
        gateway = Gateway(made, listener.getsockname()[1], app, server)
        gateway.tls = tls
        try:
            yield gateway
        finally:
            await gateway.close()
            server.should_exit = True
            await running
            made.node.stop()
            listener.close()

    return serve


@pytest.fixture(params=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Callable[[Awaitable[None]], None]:
    """Run a coroutine in an event loop of its own, once for each kind; what the loop complains of fails the test."""
    factory = asyncio.new_event_loop if request.param == "asyncio" else uvloop.new_event_loop

    def run(work: Any) -> None:
        complaints: list[str] = []
        with asyncio.Runner(loop_factory=factory) as runner:
            runner.get_loop().set_exception_handler(lambda _loop, context: complaints.append(str(context)))
            runner.run(work)
        assert complaints == []

    return run
