"""Started servers, as a user starts them, and short ways to call their API."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

COMMAND: Final = Path(sys.executable).with_name("heliograph")
READY_TIMEOUT_S: Final = 40


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


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def start(directory: Path, *arguments: str, api_key: str = "", port: int = 0, **environ: str) -> Server:
    """Start a server and wait until its port answers."""
    port = port or free_port()
    log = (directory / "stderr.log").open("a")
    process = subprocess.Popen(
        [str(COMMAND), "serve", *arguments, "--port", str(port)],
        cwd=directory,
        env={**scrubbed(), **environ},
        stdout=subprocess.PIPE,
        stderr=log,
        text=True,
    )
    assert process.stdout is not None
    while not api_key:
        line = process.stdout.readline()
        assert line, (directory / "stderr.log").read_text()
        if line.startswith("API key: "):
            api_key = line.removeprefix("API key: ").strip()
    server = Server(process, f"http://127.0.0.1:{port}", api_key, directory, tuple(a for a in arguments if a != "--dev"))
    for _ in range(READY_TIMEOUT_S * 20):
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return server
        except OSError:
            assert process.poll() is None, (directory / "stderr.log").read_text()
            time.sleep(0.05)
    raise AssertionError("the server did not start")


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A development server that a whole session shares; tests use users and channels of their own."""
    started = start(tmp_path_factory.mktemp("dev"), "--dev")
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


@pytest.fixture(scope="session")
def filtered(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server whose channels know filters by tags and deltas, over every transport of the official clients."""
    config = Path(__file__).with_name("filtered.toml")
    started = start(tmp_path_factory.mktemp("filtered"), "--config", str(config), api_key="filtered-api-key")
    yield started
    assert started.stop() == 0


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


Wire = Callable[..., Awaitable[Any]]


@pytest.fixture
async def wire() -> Any:
    """Open a raw connection: `send` commands, `until` a message that fits."""
    from websockets.asyncio.client import connect

    class RawClient:
        def __init__(self, socket: Any) -> None:
            self.socket = socket
            self.messages: list[dict[str, Any]] = []

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

    sockets = []

    async def open_client(server: Server, user: str) -> RawClient:
        socket = await connect(server.ws_url)
        sockets.append(socket)
        client = RawClient(socket)
        await client.send({"id": 1, "connect": {"token": server.token(user)}})
        await client.until(lambda message: message.get("id") == 1)
        return client

    yield open_client
    for opened in sockets:
        await opened.close()
