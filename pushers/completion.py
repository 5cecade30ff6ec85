"""Work that runs to its end even when whoever waits for it goes away."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from config.clock import Clock

__all__ = ["to_completion", "within"]

T = TypeVar("T")


async def to_completion(work: Coroutine[Any, Any, T]) -> T:
    """Await `work` to its end; a cancellation that arrives meanwhile is raised after it.

    `asyncio.shield` alone would abandon the work when the caller is cancelled.
    """
    task = asyncio.create_task(work)  # owned here: awaited to its end below
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


async def within(work: asyncio.Future[Any], seconds: float, clock: Clock) -> bool:
    """Wait for `work` at most so long by `clock`; False when it did not end, and was cancelled."""
    alarm = asyncio.ensure_future(clock.sleep(seconds))
    await asyncio.wait({work, alarm}, return_when=asyncio.FIRST_COMPLETED)
    alarm.cancel()
    if work.done():
        work.result()
        return True
    work.cancel()
    await asyncio.wait({work})
    return False
