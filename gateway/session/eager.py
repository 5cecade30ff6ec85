"""Run a coroutine in the loop turn that brought it, and make a task only if it has to wait.

Most commands need no I/O (with the memory engine none does), and a task per command would cost more than the command.
Python 3.12 has eager tasks, 3.11 has not; this works on both. Code that runs here must not ask for the current task before
its first suspension (no `asyncio.timeout` there): the ports of the broker say so.
"""

from collections.abc import Coroutine, Generator
from typing import Any

__all__ = ["step"]


def step(work: Coroutine[Any, Any, None]) -> Coroutine[Any, Any, None] | None:
    """Run `work` up to its first suspension.

    Returns:
        None when it is done; else a coroutine that carries on and must be given to a task in the same loop turn.
    Raises:
        What `work` raised.
    """
    try:
        waiting_for = work.send(None)
    except StopIteration:
        return None
    # A future that is awaited carries a mark by which a task knows that. Another coroutine may come to wait for the same
    # one before ours has its task, and would find the mark set already; ours is set again when the task takes over.
    is_marked = getattr(waiting_for, "_asyncio_future_blocking", None) is True
    if is_marked:
        waiting_for._asyncio_future_blocking = False
    return _resume(work, waiting_for, is_marked)


async def _resume(work: Coroutine[Any, Any, None], waiting_for: Any, is_marked: bool) -> None:
    await _Rest(work, waiting_for, is_marked)


class _Rest:
    """What is left of a coroutine that was stepped once, starting with the future that it waits for."""

    def __init__(self, work: Coroutine[Any, Any, None], waiting_for: Any, is_marked: bool) -> None:
        self._work, self._waiting_for, self._is_marked = work, waiting_for, is_marked

    def __await__(self) -> Generator[Any, Any, None]:
        work, waiting_for = self._work, self._waiting_for
        if self._is_marked:
            waiting_for._asyncio_future_blocking = True
        while True:
            failure: BaseException | None = None
            try:
                sent = yield waiting_for
            except GeneratorExit:
                work.close()
                raise
            except BaseException as exc:  # the loop throws cancellation in here; it belongs to the coroutine
                failure = exc
            try:
                waiting_for = work.send(sent) if failure is None else work.throw(failure)
            except StopIteration:
                return
