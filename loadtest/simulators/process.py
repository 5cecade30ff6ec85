"""The simulators as a process of their own: from opening them to the signal, or the end of its input, that ends it."""

import asyncio
import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path

from loadtest.simulators.suite import Ports, Simulators

__all__ = ["run_simulators"]


async def run_simulators(
    data_dir: Path, ports: Ports, *, announce: Callable[[Simulators], None], ends_with_input: bool
) -> None:
    """Run the simulators until SIGTERM or SIGINT, or the end of standard input where that is asked for.

    Args:
        announce: Called once, when all ports answer.
        ends_with_input: A parent that holds the other end of a pipe needs to do nothing to end this process, not even to
            die in good order.
    Raises:
        CredentialsUnreadable, OSError: As `Simulators` raises them.
    """
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    async with Simulators(data_dir, ports=ports) as simulators:
        announce(simulators)
        if ends_with_input:
            _watch_input(loop, ended)
        await ended.wait()


def _watch_input(loop: asyncio.AbstractEventLoop, ended: asyncio.Event) -> None:
    """Set `ended` when standard input does, whatever kind of file it is."""

    def read_to_end() -> None:
        # Not through sys.stdin: its lock, held by a daemon thread, would abort the interpreter's shutdown.
        with contextlib.suppress(OSError):
            while os.read(sys.stdin.fileno(), 4096):
                pass
        with contextlib.suppress(RuntimeError):  # the loop has ended by another way
            loop.call_soon_threadsafe(ended.set)

    threading.Thread(target=read_to_end, name="simulator:input", daemon=True).start()
