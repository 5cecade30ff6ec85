"""The command, run in this process or as one of its own, in a directory and an environment of its own."""

import json
import os
import re
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self

import msgspec
import pytest

from heliograph.cli import main


class Ended(msgspec.Struct, frozen=True):
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def problems(self) -> list[str]:
        return self.err.splitlines()


@pytest.fixture(autouse=True)
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A fresh working directory, with no settings in the environment."""
    for name in [name for name in os.environ if name.startswith("HELIOGRAPH_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[..., Ended]:
    """Run `heliograph` with arguments."""

    def call(*args: str) -> Ended:
        capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            main(list(args))
        captured = capsys.readouterr()
        return Ended(int(end.value.code or 0), captured.out, captured.err)

    return call


GUARD_S = 60  # only ends a hang
SETTINGS = """
[client.token]
hmac_secret_key = "a secret that is longer than thirty-two bytes"
[client]
allow_anonymous_connect_without_token = true
[http_api]
keys = ["k"]
[health]
enabled = true
[prometheus]
enabled = true
[channel.without_namespace]
allow_subscribe_for_anonymous = true
allow_subscribe_for_client = true
"""


class Server:
    """A started `heliograph` of several words, and short ways to talk to it. Its log is a file."""

    def __init__(self, directory: Path, *arguments: str, **environ: str) -> None:
        self.directory = directory
        self.log_file = directory / f"{arguments[0]}-{len(list(directory.glob('*.log')))}.log"
        with self.log_file.open("w") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "heliograph", *arguments],
                cwd=directory,
                env={**os.environ, **environ},
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        self.url, self.key = "", "k"

    def greeted(self) -> Self:
        """Wait for the greeting, which names the address, and for what follows it to answer."""
        self.url = re.findall(r"http://[^/\s]+", self.line_with("http://"))[0]
        self.until(self.answers)
        return self

    def line_with(self, text: str) -> str:
        """Read what it prints up to a line that contains a text."""
        assert self.process.stdout is not None
        while text not in (line := self.process.stdout.readline()):
            assert line, self.log
        return line

    def answers(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), 1).close()
        except OSError:
            return False
        return True

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    @property
    def log(self) -> str:
        return self.log_file.read_text()

    def events(self, name: str) -> list[dict[str, Any]]:
        """What the log says of an event."""
        lines = [line for line in self.log.splitlines() if line.startswith("{")]
        return [entry for entry in map(json.loads, lines) if entry["event"] == name]

    def get(self, path: str, url: str = "") -> tuple[int, str]:
        """Ask over a connection of its own."""
        try:
            with urllib.request.urlopen((url or self.url) + path, timeout=GUARD_S) as response:
                return response.status, response.read().decode()
        except urllib.error.HTTPError as exc:
            return exc.code, exc.read().decode()

    def call(self, method: str, **body: Any) -> Any:
        """Call an API method over a connection of its own."""
        request = urllib.request.Request(f"{self.url}/api/{method}", json.dumps(body).encode(), {"X-API-Key": self.key})
        with urllib.request.urlopen(request, timeout=GUARD_S) as response:
            return json.load(response)["result"]

    def nodes(self) -> dict[str, int]:
        """The fleet's nodes by name, with their process ids."""
        return {node["name"]: node["process"]["pid"] for node in self.call("info")["nodes"]}

    def until(self, holds: Callable[[], Any], *, is_ended: bool = False) -> Any:
        """Wait for a fact; the guard only ends a hang."""
        deadline = time.monotonic() + GUARD_S
        while not (found := holds()):
            assert time.monotonic() < deadline, self.log
            assert is_ended or self.process.poll() is None, self.log
            time.sleep(0.05)
        return found

    def end(self) -> int:
        """Ask it to end; gives the exit code."""
        self.process.terminate()
        return self.process.wait(GUARD_S)


@pytest.fixture
def launch(directory: Path) -> Iterator[Callable[..., Server]]:
    """Start `heliograph` with arguments, `--config` added without `--dev`; whatever still runs is killed at the end."""
    (directory / "h.toml").write_text(SETTINGS)
    started: list[Server] = []

    def make(*arguments: str, **environ: str) -> Server:
        source = () if "--dev" in arguments else ("--config", "h.toml")
        started.append(Server(directory, *arguments, *source, **environ))
        return started[-1]

    yield make
    for server in started:
        if server.process.poll() is None:
            server.process.kill()
        server.process.communicate()
