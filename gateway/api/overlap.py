"""Calls that overlap: each is begun after the one before it, without waiting for that one's answer.

Where the engine is another machine, a batch would otherwise cost a round trip per publication, and its publications would reach
every node one by one, so that no two of them shared a frame. Their order is the engine's to keep (`broker.pubsub`).
"""

import asyncio
from collections.abc import Coroutine
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

from gateway.session.eager import step

__all__ = ["Overlap"]

T = TypeVar("T")


class Overlap(Generic[T]):
    """Begins calls and keeps their results in order; a task exists only for a call that has to wait.

    Leaving the block waits for all of them; where it is left by an error, those that wait are cancelled.
    """

    def __init__(self) -> None:
        self._results: dict[int, T] = {}
        self._begun = 0
        self._waiting: list[asyncio.Task[None]] = []

    @property
    def results(self) -> list[T]:
        """What the calls gave, in the order in which they were begun; complete once they are settled."""
        return [self._results[number] for number in range(self._begun)]

    def begin(self, call: Coroutine[Any, Any, T]) -> None:
        """Do a call as far as it goes in this loop turn, and the rest in a task."""
        self._begun += 1
        rest = step(self._keep(self._begun - 1, call))
        if rest is not None:
            self._waiting.append(asyncio.get_running_loop().create_task(rest, name="api.call"))

    async def settle(self) -> None:
        """Wait for the calls that were begun; what one raised is raised here, and those that still wait are cancelled."""
        waiting, self._waiting = self._waiting, []
        if not waiting:
            return
        try:
            await asyncio.gather(*waiting)
        finally:
            await _end(waiting)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if exc is None:
            await self.settle()
        else:
            await _end(self._waiting)

    async def _keep(self, number: int, call: Coroutine[Any, Any, T]) -> None:
        self._results[number] = await call


async def _end(tasks: list[asyncio.Task[None]]) -> None:
    """Cancel those that are not done, and wait until they are."""
    left = [task for task in tasks if not task.done()]
    for task in left:
        task.cancel()
    await asyncio.gather(*left, return_exceptions=True)
