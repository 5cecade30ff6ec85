"""Work that a cancelled caller must not cut short: commits above all."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

__all__ = ["to_completion"]

T = TypeVar("T")


async def to_completion(work: Coroutine[Any, Any, T], *, name: str) -> T:
    """Await `work` to its end; a cancellation that arrives meanwhile is raised after it.

    `work` must be bounded by itself, for example by the database's own timeout. May be stepped outside of a task.
    """
    task = asyncio.get_running_loop().create_task(work, name=name)  # owned here: awaited to its end below
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait({task})  # being cancelled here does not cancel `task`
        except asyncio.CancelledError as exc:
            cancelled = exc
    if cancelled is None:
        return task.result()
    error = None if task.cancelled() else task.exception()
    raise cancelled from error  # the failure stays visible, the cancellation wins
