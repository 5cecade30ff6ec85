"""Group commit: one task that runs the writes of all callers, as many as are waiting in one transaction.

SQLite knows one writer at a time and pays for each commit with a flush to the disk. So the writes of concurrent callers queue
here, and whoever waits while a commit is under way shares the next one. An answer goes out only after the commit.

A write that is refused (a `BrokerError` of its caller) is undone by itself, by a savepoint. Any other error undoes the whole
transaction, since SQLite may have ended it already; if it says that the database could not, nobody's write was done; if it is
a bug of one write, the others are run again, each alone.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any, Final, TypeVar

from sqlalchemy import Connection

from broker.errors import BrokerError, StoreUnavailable
from broker.store.failures import translate

__all__ = ["GroupWriter"]

# How many writes share a commit at most, so that the first of them does not wait for all the others' work.
_GROUP_SIZE: Final = 128
# How many may wait. Beyond it a write is refused: its caller knows best what to do with the pressure.
_QUEUE_SIZE: Final = 4096

T = TypeVar("T")
_Work = Callable[[Connection], Any]
# Runs one piece of work in a transaction, and returns when it is committed.
Commit = Callable[[_Work], Awaitable[Any]]


class _Write:
    """A write that waits for its turn, and what became of it."""

    __slots__ = ("after", "answer", "done", "error", "work")

    def __init__(self, work: _Work, after: Callable[[Any], None] | None, done: "asyncio.Future[Any]") -> None:
        self.work, self.after, self.done = work, after, done
        self.answer: Any = None
        self.error: Exception | None = None

    def settle(self) -> None:
        """Tell the caller, who may be gone."""
        if self.error is None and self.after is not None:
            try:
                self.after(self.answer)
            except Exception as exc:  # the edge between callers: a bug of one is told to it, not to all
                self.error = exc
        if self.done.done():
            return
        if self.error is None:
            self.done.set_result(self.answer)
        else:
            self.done.set_exception(self.error)

    def fail(self, error: Exception) -> None:
        self.error = error
        self.settle()


class GroupWriter:
    """The one writer of an engine. It owns a task until `close`."""

    def __init__(self, commit: Commit) -> None:
        self._commit = commit
        self._queue: asyncio.Queue[_Write | None] = asyncio.Queue()
        self._is_closed = False
        self._task = asyncio.get_running_loop().create_task(self._run(), name="store:writer")

    async def write(self, work: Callable[[Connection], T], after: Callable[[T], None] | None = None) -> T:
        """Run `work` in the next transaction; see `Database.write`."""
        if self._is_closed:
            raise StoreUnavailable("the store is closed")
        if self._queue.qsize() >= _QUEUE_SIZE:
            raise StoreUnavailable("the store cannot keep up")
        done: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._queue.put_nowait(_Write(work, after, done))
        return await done  # a caller that is cancelled here gives up the answer, not the write

    async def close(self) -> None:
        """Do what is waiting, then end; may come twice."""
        if not self._is_closed:
            self._is_closed = True
            self._queue.put_nowait(None)
        await asyncio.wait({self._task})

    async def _run(self) -> None:
        try:
            while group := await self._next_group():
                await self._settle(group)
        finally:  # only a loop that is torn down cancels this task
            self._is_closed = True
            self._refuse_waiting()

    async def _next_group(self) -> list[_Write]:
        """Take what is waiting; empty means the end."""
        first = await self._queue.get()
        if first is None:
            return []
        group = [first]
        while len(group) < _GROUP_SIZE and not self._queue.empty():
            write = self._queue.get_nowait()
            if write is None:
                self._queue.put_nowait(None)  # nothing can follow it: the writer is closed
                break
            group.append(write)
        return group

    async def _settle(self, group: Sequence[_Write]) -> None:
        """Run a group in one transaction and tell every caller what became of it."""
        try:
            await self._commit(partial(_perform, group))
        except asyncio.CancelledError:
            for write in group:
                write.fail(StoreUnavailable("the store is closed"))
            raise
        except Exception as exc:  # the edge between callers: whatever one write raised, the others get an answer
            if len(group) == 1 or isinstance(translate(exc), StoreUnavailable):
                for write in group:
                    write.fail(translate(exc))  # each its own: whoever raises an error adds to its traceback
            else:
                for write in group:
                    await self._settle([write])
            return
        for write in group:
            write.settle()

    def _refuse_waiting(self) -> None:
        while not self._queue.empty():
            if (write := self._queue.get_nowait()) is not None:
                write.fail(StoreUnavailable("the store is closed"))


def _perform(group: Sequence[_Write], connection: Connection) -> None:
    for write in group:
        write.error = None  # of a transaction that was undone
    if len(group) == 1:  # alone: its refusal may undo the transaction itself
        group[0].answer = group[0].work(connection)
        return
    for write in group:
        # Not SQLAlchemy's: it names each one anew, and so compiles each of its statements anew.
        connection.exec_driver_sql("SAVEPOINT one_of_many")
        try:
            write.answer = write.work(connection)
        except BrokerError as exc:
            write.error = exc
            connection.exec_driver_sql("ROLLBACK TO one_of_many")
        connection.exec_driver_sql("RELEASE one_of_many")
