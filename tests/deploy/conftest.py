"""A fleet of two gateways on free ports over a real Valkey, and the real balancers in front of it."""

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

ROOT = Path(__file__).parents[2]
GUARD_S = 60  # only ends a hang
KEY = "k"
PLACES = "/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin:/opt/homebrew/bin"
PACKAGES = {"nginx": "nginx-light", "haproxy": "haproxy"}
NGINX = """
pid {directory}/nginx.pid;
daemon off;
error_log {directory}/nginx-error.log notice;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    include {directory}/heliograph.conf;
}}
"""
SETTINGS = """
[client]
allow_anonymous_connect_without_token = true
[http_api]
keys = ["k"]
[health]
enabled = true
[sse]
enabled = true
[http_stream]
enabled = true
[channel.without_namespace]
allow_subscribe_for_anonymous = true
allow_subscribe_for_client = true
"""


def until(holds: Callable[[], bool], process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + GUARD_S
    while not holds():
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.05)


def answers(url: str) -> bool:
    try:
        httpx.get(url, timeout=5)
    except httpx.HTTPError:
        return False
    return True


class Fleet:
    """Gateways by name, and a balancer."""

    def __init__(self, directory: Path, broker: str, free_port: Callable[[], int]) -> None:
        self.directory, self._broker, self._free_port = directory, broker, free_port
        self.ports: dict[str, int] = {}
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.port = 0
        (directory / "h.toml").write_text(SETTINGS)

    def start_node(self, name: str, **settings: str) -> None:
        """Start a gateway; further settings are variables without their prefix."""
        port = self.ports[name] = self._free_port()
        chosen = {
            "BROKER__URL": self._broker,
            "STORE__URL": f"sqlite:///{self.directory}/heliograph.db",
            "NODE__NAME": name,
            **settings,
        }
        arguments = [sys.executable, "-m", "heliograph", "gateway", "--config", "h.toml", "--port", str(port)]
        environ = {**os.environ, **{f"HELIOGRAPH_{variable}": value for variable, value in chosen.items()}}
        self._run(name, arguments, f"http://127.0.0.1:{port}/health/ready", environ)

    def start_balancer(self, name: str) -> None:
        """Start `nginx` or `haproxy` with the example of deploy/, its addresses replaced by those of this fleet."""
        program = shutil.which(name, path=PLACES)
        assert program, f"{name} is missing: install it (apt-get install {PACKAGES[name]})"
        self.port = self._free_port()
        addresses = iter(f"127.0.0.1:{port}" for port in self.ports.values())
        if name == "nginx":
            text = (ROOT / "deploy" / "nginx" / "heliograph.conf").read_text()
            text = re.sub(r"(?m)^    listen 80;", f"    listen 127.0.0.1:{self.port};", text)
            text = re.sub(r"(?m)^(    server )127\.0\.0\.1:\d+", lambda found: found[1] + next(addresses), text)
            (self.directory / "heliograph.conf").write_text(text)
            (self.directory / "nginx.conf").write_text(NGINX.format(directory=self.directory))
            arguments = [program, "-p", str(self.directory), "-c", str(self.directory / "nginx.conf")]
            arguments += ["-e", str(self.directory / "nginx-error.log")]
        else:
            text = (ROOT / "deploy" / "haproxy" / "haproxy.cfg").read_text()
            text = re.sub(r"(?m)^    bind :80$", f"    bind 127.0.0.1:{self.port}", text)
            text = re.sub(r"(?m)^(    server \S+ )127\.0\.0\.1:\d+", lambda found: found[1] + next(addresses), text)
            text = re.sub(r"(?m)^    maxconn \d+", "    maxconn 1000", text)
            (self.directory / "haproxy.cfg").write_text(text)
            arguments = [program, "-db", "-f", str(self.directory / "haproxy.cfg")]
        assert next(addresses, None) is None, "the example lists as many nodes as the fleet has"
        self._run(name, arguments, f"http://127.0.0.1:{self.port}/api/", dict(os.environ))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def call(self, method: str, **body: Any) -> Any:
        """Call the API through the balancer, each time over a connection of its own."""
        async with httpx.AsyncClient(timeout=GUARD_S) as http:
            answer = await http.post(f"{self.url}/api/{method}", json=body, headers={"X-API-Key": KEY})
        assert answer.status_code == 200, answer.text
        return answer.json()["result"]

    async def clients(self) -> dict[str, int]:
        """How many clients each node has."""
        return {node["name"]: node["num_clients"] for node in (await self.call("info"))["nodes"]}

    def _run(self, name: str, arguments: list[str], url: str, environ: dict[str, str]) -> None:
        log = self.directory / f"{name}.log"
        with log.open("wb") as file:
            process = subprocess.Popen(arguments, cwd=self.directory, env=environ, stdout=file, stderr=file)
        self.processes[name] = process
        until(lambda: answers(url), process, log)

    def stop(self) -> None:
        for process in reversed(self.processes.values()):
            process.terminate()
        for process in self.processes.values():
            process.wait(GUARD_S)


@pytest.fixture
def fleet(tmp_path: Path, valkey: Any, free_port: Callable[[], int]) -> Iterator[Fleet]:
    """A fleet without nodes or balancer yet; whatever was started is ended."""
    made = Fleet(tmp_path, f"redis://127.0.0.1:{valkey.port}?prefix={tmp_path.name}", free_port)
    yield made
    made.stop()
