"""Compare a fleet of two nodes over Valkey with one node in memory, turn about in one run.

    .venv/bin/python scripts/bench_fleet.py [--rounds 5] [--duration 8] [--only deliveries|latency|growth]

All that serves (nodes and Valkey) shares the cores `--cpu-server`, all that measures has `--cpu-client`. Each pair is a run in
memory and a run of the fleet with the same subscribers, publications and cores; the fleet's subscribers are shared out over its
nodes, and it is published to the first one. What is told is the median, and how far the pairs lie apart: a disturbance of the
machine falls on both sides of a pair, so that ratios hold where figures do not. Everything is started and ended here; of the
packages it needs the extras `embedded` and `simulators`.
"""

import argparse
import asyncio
import contextlib
import itertools
import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
import psutil
from websockets.asyncio.client import ClientConnection, connect

from heliograph.embedded import find_server
from loadtest.http_client import HttpConnection
from loadtest.target import parse_target

COMMAND: Final = Path(sys.executable).with_name("heliograph")
SUBSCRIBERS, CONNECTIONS, SIZE = 1000, 4, 140
WAITING: Final = (1, 16)  # publications per request
PUBLICATIONS, PER_REQUEST, PER_CLIENT = 20_000, 100, 100
KEY: Final = "bench"
SETTINGS: Final = """
[client]
insecure = true
[http_api]
keys = ["bench"]
[channel.without_namespace]
history_size = 100
history_ttl = "300s"
force_recovery = true
"""


class Servers(msgspec.Struct):
    """What serves: nodes, and Valkey where there is one."""

    urls: list[str]
    processes: dict[str, psutil.Process]

    @property
    def pids(self) -> list[int]:
        return [process.pid for process in self.processes.values()]

    def cpu_s(self) -> dict[str, float]:
        """CPU seconds of each process so far."""
        return {name: sum(process.cpu_times()[:2]) for name, process in self.processes.items()}


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])


@contextlib.contextmanager
def serving(nodes: int, cpus: Sequence[int], *, has_valkey: bool) -> Iterator[Servers]:
    """Start nodes on a port each, over a Valkey of their own or in memory; they end with the block."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("HELIOGRAPH_")}
    with tempfile.TemporaryDirectory(prefix="bench-") as directory, contextlib.ExitStack() as stack:
        (Path(directory) / "bench.toml").write_text(SETTINGS)
        processes, urls = {}, []

        def launch(name: str, *arguments: str, port: int) -> None:
            log = stack.enter_context((Path(directory) / f"{name}.log").open("w+"))
            process = psutil.Popen(arguments, cwd=directory, env=environ, stdout=log, stderr=log)
            stack.callback(end, process)
            process.cpu_affinity(cpus)
            while True:
                assert process.poll() is None, Path(log.name).read_text()
                with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                    break
                time.sleep(0.05)
            processes[name] = process

        if has_valkey:
            port = free_port()
            quiet = ("--save", "", "--bind", "127.0.0.1", "--loglevel", "nothing")
            launch("Valkey", str(find_server()), "--port", str(port), *quiet, port=port)
            environ["HELIOGRAPH_BROKER__URL"] = f"redis://127.0.0.1:{port}"
        for number in range(1, nodes + 1):
            port = free_port()
            launch(f"node {number}", str(COMMAND), "gateway", "--config", "bench.toml", "--port", str(port), port=port)
            urls.append(f"http://127.0.0.1:{port}")
        yield Servers(urls, processes)


def end(process: psutil.Popen) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(15)
    except psutil.TimeoutExpired:
        process.kill()
        process.wait()


class Run(msgspec.Struct, frozen=True):
    """One run of `heliograph loadtest fanout`."""

    deliveries_per_s: float
    publications_per_s: float
    cpu_us: float
    p50_ms: float
    p99_ms: float


def fan_out(servers: Servers, cpu_client: int, *, rate: float, batch: int, duration_s: int) -> Run:
    """Measure; whatever was lost, doubled or refused ends the script."""
    with tempfile.TemporaryDirectory(prefix="bench-") as output:
        command = [
            str(COMMAND),
            "loadtest",
            "fanout",
            "--url",
            servers.urls[0],
            "--api-key",
            KEY,
            "--quiet",
            "--output",
            output,
        ]
        command += [f"--subscribe-url={url}" for url in servers.urls] + [f"--pid={pid}" for pid in servers.pids]
        command += [f"--cpu-client={cpu_client}", f"--subscribers={SUBSCRIBERS}", f"--connections={CONNECTIONS}"]
        command += [f"--size={SIZE}", f"--rate={rate}", f"--batch={batch}", f"--duration={duration_s}", "--warmup=2"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            sys.exit(done.stdout + done.stderr)
        result = json.loads((Path(output) / "result.json").read_text())
    figures = {figure["name"]: figure["value"] for figure in result["figures"]}
    names = ("deliveries", "publications", "CPU per delivery", "p50", "p99")
    return Run(*(float(figures[name]) for name in names))


def compare_deliveries(options: argparse.Namespace) -> float:
    """As fast as answers come; gives the fleet's median of publications per second, one in a request."""
    print(f"\n{SUBSCRIBERS} subscribers of one channel, as fast as {CONNECTIONS} connections publish\n")
    print("| publications a request | memory, deliveries/s | two nodes | ratio | CPU µs/delivery | two nodes | ratio |")
    print("|---|---|---|---|---|---|---|")
    pace = 0.0
    for batch in WAITING:
        pairs = [take_pair(options, rate=0, batch=batch) for _ in range(options.rounds)]
        alone, fleet = zip(*pairs, strict=True)
        deliveries = [told([run.deliveries_per_s / 1000 for run in side], "{:,.0f} k") for side in (alone, fleet)]
        cpu = [told([run.cpu_us for run in side], "{:.1f}") for side in (alone, fleet)]
        ratio = told([two.deliveries_per_s / one.deliveries_per_s for one, two in pairs], "{:.2f}")
        cost = told([two.cpu_us / one.cpu_us for one, two in pairs], "{:.2f}")
        print(f"| {batch} | {deliveries[0]} | {deliveries[1]} | {ratio} | {cpu[0]} | {cpu[1]} | {cost} |", flush=True)
        pace = pace or statistics.median(run.publications_per_s for run in fleet)
    return pace


def compare_latency(options: argparse.Namespace, pace: float) -> None:
    """Both at half of what the fleet can do."""
    rate = pace / 2
    pairs = [take_pair(options, rate=rate, batch=1) for _ in range(options.rounds)]
    print(f"\nFrom publish to receive at {rate:,.0f} publications/s ({rate * SUBSCRIBERS / 1000:,.0f} k deliveries/s)\n")
    print("| | p50, ms | p99, ms |")
    print("|---|---|---|")
    for name, side in zip(("memory", "two nodes"), zip(*pairs, strict=True), strict=True):
        print(f"| {name} | {told([run.p50_ms for run in side], '{:.1f}')} | {told([run.p99_ms for run in side], '{:.1f}')} |")


def take_pair(options: argparse.Namespace, *, rate: float, batch: int) -> tuple[Run, Run]:
    """Run in memory, then the fleet, each freshly started."""
    runs = []
    for nodes, has_valkey in ((1, False), (2, True)):
        with serving(nodes, options.cpu_server, has_valkey=has_valkey) as servers:
            runs.append(fan_out(servers, options.cpu_client, rate=rate, batch=batch, duration_s=options.duration))
    return runs[0], runs[1]


def told(values: Sequence[float], form: str) -> str:
    """Write the median, and the extremes behind it where there are several."""
    middle = form.format(statistics.median(values))
    return middle if len(values) == 1 else f"{middle} ({form.format(min(values))}–{form.format(max(values))})"


def compare_growth(options: argparse.Namespace) -> None:
    """What one publication costs as channels and nodes grow; every channel has one subscriber on each node."""
    print(f"\nCPU µs per publication, {PER_REQUEST} in a request, one subscriber per channel and node\n")
    print("| channels | memory, one node | one node | Valkey | first of two | second | Valkey |")
    print("|---|---|---|---|---|---|---|")
    for channels in options.channels:
        cells = []
        for nodes, has_valkey in ((1, False), (1, True), (2, True)):
            with serving(nodes, options.cpu_server, has_valkey=has_valkey) as servers:
                costs = asyncio.run(cost_per_publication(servers, channels))
            cells += [costs[f"node {number}"] for number in range(1, nodes + 1)] + ([costs["Valkey"]] if has_valkey else [])
        print(f"| {channels:,} | " + " | ".join(f"{cell:.0f}" for cell in cells) + " |", flush=True)


async def cost_per_publication(servers: Servers, channels: int) -> dict[str, float]:
    """Publish to all channels in turn; gives CPU µs per publication by process."""
    async with contextlib.AsyncExitStack() as stack:
        names = [f"channel-{number}" for number in range(channels)]
        readers = []
        for url, first in itertools.product(servers.urls, range(0, channels, PER_CLIENT)):
            opened = await stack.enter_async_context(
                connect(f"{url.replace('http', 'ws')}/connection/websocket", max_size=None)
            )
            readers.append(await subscribed(opened, names[first : first + PER_CLIENT]))
        await publish(servers.urls[0], names, PUBLICATIONS // 10)
        await until_received(readers, PUBLICATIONS // 10 * len(servers.urls))
        before = servers.cpu_s()
        await publish(servers.urls[0], names, PUBLICATIONS)
        await until_received(readers, (PUBLICATIONS // 10 + PUBLICATIONS) * len(servers.urls))
        return {name: (used - before[name]) / PUBLICATIONS * 1e6 for name, used in servers.cpu_s().items()}


class Reader:
    """Counts the publications that come over a connection."""

    def __init__(self, connection: ClientConnection) -> None:
        self.received = 0
        self._connection = connection
        self.task = asyncio.create_task(self._read(), name="reader")

    async def _read(self) -> None:
        async for message in self._connection:
            assert isinstance(message, str)
            self.received += message.count('"pub"')
            if message.startswith("{}") or "\n{}" in message:
                await self._connection.send("{}")


async def subscribed(connection: ClientConnection, channels: Sequence[str]) -> Reader:
    commands: list[dict[str, Any]] = [{"id": 1, "connect": {}}]
    commands += [{"id": number, "subscribe": {"channel": channel}} for number, channel in enumerate(channels, 2)]
    await connection.send("\n".join(json.dumps(command) for command in commands))
    answered = 0
    while answered < len(commands):
        message = await connection.recv()
        assert isinstance(message, str) and '"error"' not in message, message
        answered += message.count('"id"')
    return Reader(connection)


async def publish(url: str, channels: Sequence[str], count: int) -> None:
    """Publish over several connections, many publications to a request."""
    requests = iter(range(0, count, PER_REQUEST))
    turn = itertools.cycle(channels)

    async def keep_publishing() -> None:
        connection = HttpConnection(parse_target(url), KEY)
        for _ in requests:
            data = "x" * SIZE
            commands = [{"publish": {"channel": next(turn), "data": data}} for _ in range(PER_REQUEST)]
            status, answer = await connection.post("/api/batch", json.dumps({"commands": commands}).encode())
            assert status == 200 and b'"error"' not in answer, answer
        await connection.aclose()

    async with asyncio.TaskGroup() as tasks:
        for _ in range(CONNECTIONS):
            tasks.create_task(keep_publishing())


async def until_received(readers: Sequence[Reader], count: int) -> None:
    async with asyncio.timeout(60):
        while sum(reader.received for reader in readers) < count:  # noqa: ASYNC110 - a measurement, not a test
            await asyncio.sleep(0.01)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="pairs of each kind")
    parser.add_argument("--duration", type=int, default=8, help="measured seconds of a run")
    parser.add_argument("--only", choices=["deliveries", "latency", "growth"], help="one part; latency needs --pace")
    parser.add_argument("--pace", type=float, default=0.0, help="publications/s of the fleet, where they are not measured")
    parser.add_argument("--channels", type=int, nargs="+", default=[1, 100, 10_000])
    parser.add_argument("--cpu-server", type=int, nargs="+", default=[0], help="cores of nodes and Valkey together")
    parser.add_argument("--cpu-client", type=int, default=1, help="core of the load")
    options = parser.parse_args()
    psutil.Process().cpu_affinity([options.cpu_client])
    pace = options.pace
    if options.only in (None, "deliveries"):
        pace = compare_deliveries(options)
    if options.only in (None, "latency"):
        compare_latency(options, pace)
    if options.only in (None, "growth"):
        compare_growth(options)


if __name__ == "__main__":
    main()
