"""The start of a worker process: `python -m loadtest.workers.process`, told what to do on its standard input."""

import asyncio
import contextlib
import gc
import importlib
import os
import signal
import sys
from collections.abc import Callable

from loadtest.messages import Assignment, Fault, NotifierPart, PublisherPart, SubscriberPart
from loadtest.workers.notifier import notify
from loadtest.workers.pipe import ConductorGone, Pipe
from loadtest.workers.publisher import publish
from loadtest.workers.subscribers import subscribe

__all__ = ["main"]


def main() -> None:
    """Serve one assignment and end; also when the conductor goes away."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the conductor decides what it means
    _raise_file_limit()
    # Messages go out through a copy of the descriptor: anything printed by accident lands on standard error.
    output = os.dup(1)
    os.dup2(2, 1)
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        try:
            runner.run(_serve(output))
        except* ConductorGone:
            pass


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    """Take uvloop's loop where there is one."""
    try:
        uvloop = importlib.import_module("uvloop")
    except ImportError:  # pragma: no cover (Windows)
        return asyncio.new_event_loop
    return uvloop.new_event_loop  # type: ignore[no-any-return]  # loaded by its name


async def _serve(output: int) -> None:
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    pipe = Pipe(reader, output)
    match await pipe.receive():
        case SubscriberPart() as part:
            _settle_down(part)
            await subscribe(part, pipe)
        case PublisherPart() as part:
            _settle_down(part)
            await publish(part, pipe)
        case NotifierPart() as part:
            _settle_down(part)
            await notify(part, pipe)
        case other:
            pipe.send(Fault(f"expected an assignment, got {type(other).__name__}"))


def _settle_down(part: Assignment) -> None:
    """Pin the process where that was asked for, and keep the collector out of the measurement."""
    if part.cpu is not None and sys.platform == "linux":
        os.sched_setaffinity(0, {part.cpu})
    gc.freeze()
    gc.set_threshold(200_000, 50, 1000)


def _raise_file_limit() -> None:
    """One descriptor per client: take all that the system lets us have."""
    if sys.platform == "win32":  # pragma: no cover
        return
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


if __name__ == "__main__":
    main()
