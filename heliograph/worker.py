"""A worker of a supervisor: `python -m heliograph.worker`, told by standard input what to be."""

import asyncio
import contextlib
import os
import signal
import sys
from pathlib import Path

import msgspec
from starlette.routing import BaseRoute

from config.errors import SettingsError
from config.loader import load_settings
from config.logs import configure_logging
from config.settings import Settings
from heliograph.development import open_development
from heliograph.ending import Ending
from heliograph.listening import adopt, port_of
from heliograph.loop import run_loop
from heliograph.orders import LINE_LIMIT_BYTES, Assignment, Report
from heliograph.process import Process, Sockets
from heliograph.roles import ROLES
from heliograph.serve import development_routes

__all__ = ["main"]


def main() -> int:
    """Be a worker until told to end; returns the exit code."""
    return run_loop(_work())


async def _work() -> int:
    orders = asyncio.StreamReader(limit=LINE_LIMIT_BYTES)
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(orders), sys.stdin)
    line = await orders.readline()
    if not line:
        return 0  # the supervisor is gone before it had said anything
    ending = Ending()
    # A terminal's Ctrl-C goes to the supervisor, which then tells us. SIGTERM may come to both: it never means hurry here.
    loop.add_signal_handler(signal.SIGTERM, ending.begin)
    try:
        await _serve(msgspec.json.decode(line, type=Assignment), orders, ending)
    except SettingsError as exc:
        _report(Report("refused", list(exc.problems)))
        return 2
    return 0


async def _serve(assignment: Assignment, orders: asyncio.StreamReader, ending: Ending) -> None:
    clients = adopt(assignment.clients)
    operations = adopt(assignment.operations) if assignment.operations is not None else None
    settings = _load(assignment, port_of(clients))
    configure_logging(settings.log.level, settings.log.format)
    routes: list[BaseRoute] = development_routes(settings, assignment.control) if assignment.is_dev else []
    process = Process(settings, ROLES[assignment.role], Sockets(clients, operations), routes=routes)
    may_listen = asyncio.Event()
    listening = asyncio.create_task(_obey(orders, ending, may_listen), name="orders")  # owned here, cancelled below

    async def opened() -> None:
        _report(Report("opened"))
        await may_listen.wait()

    async def started() -> None:
        _report(Report("started"))

    try:
        await process.run(ending, opened=opened, ready=started)
    finally:
        listening.cancel()


def _load(assignment: Assignment, port: int) -> Settings:
    """Load the settings, in which this worker has a name of its own."""
    if assignment.is_dev:
        settings = open_development(overrides=assignment.overrides).settings(assignment.providers, port=port)
    else:
        settings = load_settings(Path(assignment.file) if assignment.file else None, overrides=assignment.overrides)
    name = settings.node.name or f"{settings.http.host}:{port}"
    node = settings.node.model_copy(update={"name": f"{name}/{assignment.number}"})
    return settings.model_copy(update={"node": node})


async def _obey(orders: asyncio.StreamReader, ending: Ending, may_listen: asyncio.Event) -> None:
    while line := await orders.readline():
        match line.strip().decode():
            case "go":
                may_listen.set()
            case "retire":
                ending.begin(is_replaced=True)
            case "stop":
                ending.begin()
            case "hurry":
                ending.hurry()
        may_listen.set()  # whoever is to end before it has begun ends like all others
    ending.begin()  # the supervisor is gone
    may_listen.set()


def _report(report: Report) -> None:
    with contextlib.suppress(BrokenPipeError):  # the supervisor is gone; standard input says so too, and ends us
        os.write(sys.stdout.fileno(), msgspec.json.encode(report) + b"\n")


if __name__ == "__main__":
    sys.exit(main())
