"""The owner of the node's short-lived tasks: it names them, holds them, logs what they raise and waits for them at the end."""

import asyncio
from collections.abc import Coroutine
from typing import Any

from config.logs import get_logger
from gateway.session.eager import step

__all__ = ["Tasks"]

_log = get_logger()


class Tasks:
    """A registry; nothing vanishes from it, and no error either."""

    def __init__(self) -> None:
        self._running: set[asyncio.Task[None]] = set()

    def run(self, work: Coroutine[Any, Any, None], name: str) -> None:
        """Do `work` in this loop turn as far as it goes, and the rest in a task."""
        try:
            rest = step(work)
        except Exception:  # the edge of background work: a bug of ours, told once
            _log.exception("task.failed", task=name)
            return
        if rest is not None:
            self.spawn(rest, name)

    def spawn(self, work: Coroutine[Any, Any, None], name: str) -> None:
        """Do `work` in a task."""
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._running.add(task)
        task.add_done_callback(self._finished)

    async def drain(self, timeout_s: float) -> None:
        """Wait for what is under way, then cancel what is not done."""
        if self._running:
            await asyncio.wait(tuple(self._running), timeout=timeout_s)
        for task in tuple(self._running):
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    def __len__(self) -> int:
        return len(self._running)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("task.failed", task=task.get_name(), exc_info=error)
