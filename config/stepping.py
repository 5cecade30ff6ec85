"""A coroutine whose every step runs in a context of its own, whoever drives it.

For what is begun in the turn that brought it and goes on in a task: a variable that is set inside would be seen by what comes
after it in the same turn, and could not be taken back in the task.
"""

from collections.abc import Coroutine, Generator
from contextvars import Context
from typing import Any, Generic, TypeVar

__all__ = ["Scoped"]

T = TypeVar("T")


class Scoped(Generic[T]):
    """To be awaited, once."""

    def __init__(self, work: Coroutine[Any, Any, T], context: Context) -> None:
        self._work, self._context = work, context

    def __await__(self) -> Generator[Any, Any, T]:
        work, run = self._work, self._context.run
        sent: Any = None
        failure: BaseException | None = None
        while True:
            try:
                waiting_for = run(work.send, sent) if failure is None else run(work.throw, failure)
            except StopIteration as exc:
                result: T = exc.value
                return result
            sent = failure = None
            try:
                sent = yield waiting_for
            except GeneratorExit:
                run(work.close)
                raise
            except BaseException as exc:  # the loop throws cancellation in here; it belongs to the coroutine
                failure = exc
