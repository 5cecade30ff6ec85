"""One run from beginning to end: reach the server, conduct the scenario, show it, write the files."""

import asyncio
import contextlib
import signal
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import msgspec
from rich.console import Console

from loadtest.http_client import HttpConnection, HttpFailed
from loadtest.observer import Observer, find_server
from loadtest.progress import show_progress
from loadtest.report import render_report
from loadtest.result import Result
from loadtest.session import Conditions, NothingMeasured, Session, alongside

__all__ = ["RunOptions", "run_scenario", "write_files"]


class RunOptions(msgspec.Struct, frozen=True):
    """How a run is shown and watched. `pids` empty: guess from who listens on the port."""

    title: str
    pids: tuple[int, ...] = ()
    is_quiet: bool = False


class _Node(msgspec.Struct, frozen=True):
    name: str = ""
    version: str = ""


class _Nodes(msgspec.Struct, frozen=True):
    nodes: list[_Node] = []


class _Info(msgspec.Struct, frozen=True):
    result: _Nodes = _Nodes()


async def run_scenario(
    conduct: Callable[[Session], Awaitable[Result]], conditions: Conditions, options: RunOptions, console: Console
) -> Result:
    """Conduct one scenario; Ctrl-C ends it early, and the result is that of the part that ran.

    Raises:
        NothingMeasured: The server cannot be reached or refuses the key, or there was nothing to measure.
        WorkerLost: A measuring process died.
    """
    server = await ask_server(conditions)
    stop = asyncio.Event()
    observer = Observer(list(options.pids) or [pid for target in conditions.targets for pid in find_server(target)])
    session = Session(conditions, observer, stop)
    session.server = server
    with _stopping_on_interrupt(stop):
        async with AsyncExitStack() as beside:
            await beside.enter_async_context(alongside(observer.run(), "observer"))
            if not options.is_quiet:
                await beside.enter_async_context(alongside(show_progress(console, options.title, session.snapshot), "progress"))
            return await conduct(session)


async def ask_server(conditions: Conditions) -> str:
    """See that the server is there and takes the key; tells its version, empty when it does not say.

    Raises:
        NothingMeasured: It is not there, or refuses the key.
    """
    url = conditions.target.url
    connection = HttpConnection(conditions.target, conditions.api_key, timeout_s=10.0)
    try:
        if not conditions.api_key:
            await connection.get("/connection/init")
            return ""
        status, answer = await connection.post("/api/info", b"{}")
    except HttpFailed as exc:
        raise NothingMeasured(f"cannot reach {url}: {exc}") from exc
    finally:
        await connection.aclose()
    if status == 401:
        raise NothingMeasured(f"{url} refuses the API key")
    try:
        nodes = msgspec.json.decode(answer, type=_Info).result.nodes if status == 200 else []
    except msgspec.DecodeError:
        return ""
    return f"{len(nodes)} node{'s' if len(nodes) > 1 else ''}, version {nodes[0].version}" if nodes else ""


def write_files(result: Result, folder: Path) -> list[str]:
    """Write `result.json` and `report.html`; returns their paths.

    Raises:
        OSError: The folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    json_file, html_file = folder / "result.json", folder / "report.html"
    json_file.write_bytes(msgspec.json.format(msgspec.json.encode(result), indent=2) + b"\n")
    html_file.write_text(render_report(result), encoding="utf-8")
    return [str(json_file), str(html_file)]


@contextlib.contextmanager
def _stopping_on_interrupt(stop: asyncio.Event) -> Iterator[None]:
    """Let Ctrl-C (and SIGTERM) set `stop`; where signals cannot be caught by a loop it interrupts as ever."""
    loop = asyncio.get_running_loop()
    caught: list[signal.Signals] = []
    for number in (signal.SIGINT, signal.SIGTERM):
        with contextlib.suppress(NotImplementedError, RuntimeError, ValueError):
            loop.add_signal_handler(number, stop.set)
            caught.append(number)
    try:
        yield
    finally:
        for number in caught:
            loop.remove_signal_handler(number)
