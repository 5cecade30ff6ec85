"""Measure how long critical notifications wait behind a backlog of bulk ones that keeps a server busy.

    .venv/bin/python scripts/bench_critical.py [--backlog 135000] [--critical 600] [--rate 40] [--store URL] [--cpu-server 0]

A server in development mode is started on the core (or cores, as in `0,1`) of `--cpu-server`, its simulators and whoever asks
are on core 1. The backlog is stored while its lane is paused; then it is worked off, and critical ones come at the rate given.
Told is the time from the writing of a request until the server calls the provider, and from the answer (it is stored) until
then; negative where the provider was called before the answer had been read. Needs the extra `simulators`.
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
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final

import psutil

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from loadtest.http_client import HttpConnection
from loadtest.target import parse_target

KEY: Final = "bench"
USERS, PER_REQUEST, AT_ONCE = 1000, 1000, 4
MARKS: Final = "marks"
WARM_UP_S: Final = 2.0


def serve(port: int) -> None:
    """Be the server, and write down when a critical notification's call begins and how many others began before it."""
    from broker.notification import Device, Lane, Notification
    from heliograph.cli import main as run
    from pushers.outcome import SendOutcome
    from pushers.providers.fcm import FcmProvider

    send, others = FcmProvider.send, itertools.count()
    marks = Path(MARKS).open("w", buffering=1)  # noqa: SIM115 (until the process ends)

    async def mark(self: FcmProvider, notification: Notification, device: Device, **more: Any) -> SendOutcome:
        if notification.lane is Lane.CRITICAL:
            marks.write(f"{notification.id} {time.monotonic_ns()} {seen[0]}\n")
        else:
            seen[0] = next(others)
        return await send(self, notification, device, **more)

    seen = [0]
    FcmProvider.send = mark  # type: ignore[method-assign]
    run(["serve", "--dev", "--port", str(port)])


class Api:
    """The server's API, over a few connections."""

    def __init__(self, port: int) -> None:
        target = parse_target(f"http://127.0.0.1:{port}")
        self._connections = [HttpConnection(target, KEY, timeout_s=120.0) for _ in range(AT_ONCE)]
        self._turns = itertools.cycle(self._connections)

    async def call(self, method: str, **parameters: Any) -> Any:
        status, answer = await next(self._turns).post(f"/api/{method}", json.dumps(parameters).encode())
        told = json.loads(answer)
        if status != 200 or "error" in told:
            sys.exit(f"{method}: HTTP {status} {answer.decode(errors='replace')[:300]}")
        return told["result"]

    async def notify(self, users: Sequence[str], priority: str) -> list[str]:
        told = await self.call(
            "notify",
            users=list(users),
            title="Load test",
            body="A notification that measures how fast it travels.",
            category="loadtest",
            priority=priority,
            push_wait_s=0,
        )
        return [one["id"] for one in told["notifications"]]

    async def all_of(self, calls: Iterable[Any]) -> None:
        """Await calls, a few at once."""
        waiting = iter(calls)

        async def one_after_another() -> None:
            for call in waiting:
                await call

        await asyncio.gather(*(one_after_another() for _ in range(AT_ONCE)))

    async def close(self) -> None:
        for connection in self._connections:
            await connection.aclose()


async def measure(port: int, options: argparse.Namespace) -> dict[str, tuple[int, int]]:
    """Run it all; tells when each critical one was sent, and when it was answered."""
    api = Api(port)
    users = [f"load-{number}" for number in range(USERS)]
    await api.all_of(
        api.call("device_register", user=user, provider="fcm", token=f"load-device-{number:08d}")
        for number, user in enumerate(users)
    )
    lane = {"kind": "pause_lane", "target": "bulk"}
    await api.call("override_set", **lane, reason="a backlog gathers", expires_in_s=600)
    began = time.perf_counter()
    await api.all_of(api.notify(users[:PER_REQUEST], "bulk") for _ in range(options.backlog // PER_REQUEST))
    print(f"{options.backlog:,} stored, {options.backlog / (time.perf_counter() - began):,.0f}/s", flush=True)
    await api.call("override_remove", **lane)
    await asyncio.sleep(WARM_UP_S)
    seen: dict[str, tuple[int, int]] = {}

    async def send(number: int) -> None:
        sent_ns = time.monotonic_ns()
        [notification_id] = await api.notify([users[number % USERS]], "critical")
        seen[notification_id] = sent_ns, time.monotonic_ns()

    starts = time.monotonic()
    async with asyncio.TaskGroup() as tasks:
        for number in range(options.critical):
            await asyncio.sleep(max(0.0, starts + number / options.rate - time.monotonic()))
            tasks.create_task(send(number))
    await asyncio.sleep(1.0)
    await api.close()
    return seen


def tell(seen: dict[str, tuple[int, int]], marks: Iterable[str], backlog: int) -> None:
    began: dict[str, int] = {}
    left: list[int] = []
    for line in marks:
        notification_id, at_ns, others = line.split()
        began.setdefault(notification_id, int(at_ns))
        left.append(backlog - int(others))
    reached = [one for one in seen if one in began]
    for name, since in (("request to call", 0), ("answer to call", 1)):
        ms = sorted((began[one] - seen[one][since]) / 1e6 for one in reached)
        cuts = statistics.quantiles(ms, n=100)
        print(f"{name:<16} p50 {cuts[49]:6.1f}  p90 {cuts[89]:6.1f}  p99 {cuts[98]:6.1f}  most {ms[-1]:6.1f} ms")
    print(f"{len(reached)} of {len(seen)} were called, with {max(left):,} down to {min(left):,} others left")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backlog", type=int, default=135_000)
    parser.add_argument("--critical", type=int, default=600)
    parser.add_argument("--rate", type=float, default=40.0)
    parser.add_argument("--store", default="", help="URL of an empty database; default: a SQLite file")
    parser.add_argument("--cpu-server", default="0")
    parser.add_argument("--serve", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(options.serve)
        return
    with socket.create_server(("127.0.0.1", 0)) as found:
        port = int(found.getsockname()[1])
    environ = {**os.environ, "HELIOGRAPH_HTTP_API__KEYS": json.dumps([KEY])}
    if options.store:
        environ["HELIOGRAPH_STORE__URL"] = options.store
    os.sched_setaffinity(0, {1})
    with tempfile.TemporaryDirectory(prefix="bench-") as directory:
        log = Path(directory) / "log"
        command = [sys.executable, str(Path(__file__).resolve()), "--serve", str(port)]
        with log.open("w") as told:
            server = psutil.Popen(command, cwd=directory, env=environ, stdout=told, stderr=told)
        try:
            while not listens(port):
                if server.poll() is not None:
                    sys.exit(log.read_text())
                time.sleep(0.1)
            pin(server.pid, [int(cpu) for cpu in options.cpu_server.split(",")])
            seen = asyncio.run(measure(port, options))
            tell(seen, (Path(directory) / MARKS).read_text().splitlines(), options.backlog)
        finally:
            server.send_signal(signal.SIGTERM)
            server.wait(30)


def listens(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


def pin(pid: int, cpus: Sequence[int]) -> None:
    """Give every thread of a process some cores; its children keep those that they have."""
    for thread in psutil.Process(pid).threads():
        os.sched_setaffinity(thread.id, cpus)


if __name__ == "__main__":
    main()
