"""The event loop of a process, and what its process needs to carry many connections."""

import asyncio
import contextlib
import gc
import resource
import sys
from collections.abc import Coroutine
from typing import Any, Final

__all__ = ["quieten_collector", "run_loop"]

_SWITCH_S: Final = 0.0003


def run_loop(main: Coroutine[Any, Any, int]) -> int:
    """Run a process's loop to its end, on uvloop where there is one, with as many files as the system grants."""
    _raise_file_limit()
    # A thread of the store asks for the interpreter some twenty times a transaction, and as long as the loop is busy it gets it
    # only when this is over: with Python's 5 ms a small transaction took 20 to 70 ms.
    sys.setswitchinterval(_SWITCH_S)
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        return runner.run(main)


def quieten_collector() -> None:
    """Keep what lives as long as the process out of the collector's sight: at 19,000 connections it cost 30 % of the CPU."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


def _raise_file_limit() -> None:
    """Each connection is a file."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _loop_factory() -> type[asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ImportError:
        return None  # asyncio's own does as well, slower
    return uvloop.Loop
