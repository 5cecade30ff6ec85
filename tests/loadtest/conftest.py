"""A small server that speaks as much of the protocol as a load test needs, and can be told to misbehave."""

import asyncio
import contextlib
import http
import itertools
import json
import threading
from collections.abc import Callable, Iterator
from typing import Any

import jwt
import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

SECRET = "a secret of tests that is long enough for HS256"
API_KEY = "a-key-of-tests"

Fault = Callable[[int, list[str]], list[str]]


class FakeServer:
    """WebSocket side on websockets' server, HTTP side by hand on the same port by a first look at the request.

    `fault` turns (subscriber number, frames to send) into the frames that are really sent.
    """

    def __init__(self) -> None:
        self.port = 0
        self.fault: Fault = lambda _number, frames: frames
        self.subscribers: list[ServerConnection] = []
        self.published = 0
        self.refuse_every = 0
        self.notifications: dict[str, dict[str, Any]] = {}
        self.devices: dict[str, str] = {}
        self.outbox: list[dict[str, Any]] = []
        self.has_outbox = True
        self.pongs = 0
        self._ids = itertools.count(1)

    # WebSocket

    async def talk(self, connection: ServerConnection) -> None:
        with contextlib.suppress(ConnectionClosed):
            async for frame in connection:
                for line in str(frame).split("\n"):
                    await self.take(connection, json.loads(line))

    async def take(self, connection: ServerConnection, command: dict[str, Any]) -> None:
        if not command:
            self.pongs += 1
            return
        reply = self.reply(command)
        await connection.send(json.dumps(reply))
        if "subscribe" in reply:
            self.subscribers.append(connection)
            await connection.send("{}")

    def reply(self, command: dict[str, Any]) -> dict[str, Any]:
        if "connect" in command:
            try:
                jwt.decode(command["connect"].get("token", ""), SECRET, algorithms=["HS256"])
            except jwt.InvalidTokenError:
                return {"id": command["id"], "error": {"code": 109, "message": "token expired"}}
            return {"id": command["id"], "connect": {"client": "c", "version": "fake", "ping": 25, "pong": True}}
        return {"id": command["id"], "subscribe": {}}

    # HTTP API

    async def call(self, path: str, body: dict[str, Any]) -> dict[str, Any] | None:
        method = path.removeprefix("/api/")
        match method:
            case "info":
                return {"result": {"nodes": [{"name": "fake", "version": "0.0"}]}}
            case "publish":
                return await self.publish([body])
            case "batch":
                commands = [command["publish"] for command in body["commands"]]
                await self.publish(commands)
                return {"replies": [{"publish": {}} for _ in commands]}
            case "device_register":
                self.devices[body["user"]] = body["token"]
                return {"result": {"id": f"device-{body['user']}"}}
            case "notify":
                return {"result": {"notifications": [self.notify(user, body) for user in body["users"]]}}
            case "notification_status":
                return {"result": {"notification": self.notifications[body["id"]]}}
        return None

    async def publish(self, commands: list[dict[str, Any]]) -> dict[str, Any]:
        self.published += 1
        if self.refuse_every and self.published % self.refuse_every == 0:
            return {"error": {"code": 100, "message": "internal server error"}}
        lines = [
            json.dumps({"push": {"channel": c["channel"], "pub": {"data": c["data"]}}}, separators=(",", ":")) for c in commands
        ]
        for number, connection in enumerate(list(self.subscribers)):
            for frame in self.fault(number, ["\n".join(lines)]):
                with contextlib.suppress(Exception):
                    await connection.send(frame)
        return {"result": {}}

    def notify(self, user: str, body: dict[str, Any]) -> dict[str, str]:
        identity = f"n{next(self._ids)}"
        at = asyncio.get_running_loop().time()
        self.notifications[identity] = {
            "id": identity,
            "user": user,
            "state": "exhausted",
            "steps": [{"route": "fcm", "outcome": "accepted", "time": now_at()}],
        }
        self.outbox.append(
            {
                "provider": "fcm",
                "address": self.devices[user],
                "title": body["title"],
                "notification_id": identity,
                "at": now_at(),
            }
        )
        assert at > 0
        return {"user": user, "id": identity}


def now_at() -> float:
    import time

    return round(time.time(), 3)


async def handle_http(server: FakeServer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, head: bytes) -> None:
    while head:
        request, *lines = head.decode().split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        path = request.split(" ")[1]
        status, answer = await answer_http(server, path, headers, body)
        writer.write(
            f"HTTP/1.1 {status} {http.HTTPStatus(status).phrase}\r\nContent-Length: {len(answer)}\r\n\r\n".encode() + answer
        )
        await writer.drain()
        head = await read_head(reader)
    writer.close()


async def answer_http(server: FakeServer, path: str, headers: dict[str, str], body: bytes) -> tuple[int, bytes]:
    if path == "/dev/outbox":
        return (200, json.dumps({"items": server.outbox}).encode()) if server.has_outbox else (404, b"")
    if path == "/connection/init":
        return 200, b"{}"
    if headers.get("x-api-key") != API_KEY:
        return 401, b""
    answer = await server.call(path, json.loads(body))
    return (200, json.dumps(answer).encode()) if answer is not None else (404, b"not found")


async def read_head(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.readuntil(b"\r\n\r\n")
    except (asyncio.IncompleteReadError, ConnectionError):
        return b""


async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while chunk := await reader.read(65536):
            writer.write(chunk)
            await writer.drain()
    writer.close()


async def run_server(server: FakeServer, started: threading.Event, stop: asyncio.Event) -> None:
    """Serve until told to stop: upgrades are relayed to websockets' server, other requests answered here."""

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await read_head(reader)
        if b"upgrade: websocket" not in head.lower():
            await handle_http(server, reader, writer, head)
            return
        inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", inner_port)
        inner_writer.write(head)
        await asyncio.gather(relay(reader, inner_writer), relay(inner_reader, writer))

    async with serve(server.talk, "127.0.0.1", 0, ping_interval=None) as inner:
        inner_port = next(iter(inner.sockets)).getsockname()[1]
        outer = await asyncio.start_server(accept, "127.0.0.1", 0)
        server.port = outer.sockets[0].getsockname()[1]
        started.set()
        await stop.wait()
        outer.close()


@pytest.fixture
def fake_server() -> Iterator[FakeServer]:
    """A running fake server, in a thread with its own loop so that a blocking command can be tested against it."""
    server = FakeServer()
    started = threading.Event()
    loop = asyncio.new_event_loop()
    stop = asyncio.Event()

    def serve_in_thread() -> None:
        asyncio.set_event_loop(loop)
        loop.run_until_complete(run_server(server, started, stop))
        for task in asyncio.all_tasks(loop):
            task.cancel()
        loop.run_until_complete(asyncio.sleep(0))
        loop.run_until_complete(asyncio.gather(*asyncio.all_tasks(loop), return_exceptions=True))
        loop.close()

    thread = threading.Thread(target=serve_in_thread, daemon=True)
    thread.start()
    assert started.wait(10)
    yield server
    loop.call_soon_threadsafe(stop.set)
    thread.join(10)


@pytest.fixture
def credentials() -> tuple[str, str]:
    """The API key and the secret of the fake server."""
    return API_KEY, SECRET
