"""Group commit: one thread that runs the writes of all callers, as many as are waiting in one transaction.

SQLite knows one writer at a time and pays for each commit with a flush to the disk. So the writes of concurrent callers queue
here, and whoever waits while a commit is under way shares the next one. An answer goes out only after the commit.

The thread takes the next group by itself. Were it handed over by the loop, the database would lie idle between two transactions
for as long as the loop is busy: under load, for most of the time.

What is urgent does not wait for what came before it, but for the transaction under way, and shares its own with nothing that
could wait. So that this is short, writes say how much they bring, and a group takes in so much only.

A write that is refused (a `BrokerError` of its caller) is undone by itself, by a savepoint. Any other error undoes the whole
transaction, since SQLite may have ended it already; if it says that the database could not, nobody's write was done; if it is
a bug of one write, the others are run again, each alone.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any, Final, TypeVar

from sqlalchemy import Connection

from broker.errors import BrokerError, StoreUnavailable
from broker.store.failures import translate

__all__ = ["GroupWriter"]

# How many writes share a commit at most, so that the first of them does not wait for all the others' work.
_GROUP_SIZE: Final = 128
# How many rows' worth of work, unless a single write brings more: some 20 ms.
_GROUP_ROWS: Final = 500
# So many urgent groups go one after another while others wait.
_URGENT_IN_A_ROW: Final = 8
# How many may wait. Beyond it a write is refused: its caller knows best what to do with the pressure.
_QUEUE_SIZE: Final = 4096

T = TypeVar("T")
_Work = Callable[[Connection], Any]
# Runs one piece of work in a transaction, and returns when it is committed. Called in the writer's thread.
Commit = Callable[[_Work], Any]


class _Write:
    """A write that waits for its turn, and what became of it."""

    __slots__ = ("after", "answer", "done", "error", "rows", "urgent", "work")

    def __init__(
        self, work: _Work, after: Callable[[Any], None] | None, done: "asyncio.Future[Any]", rows: int, urgent: bool
    ) -> None:
        self.work, self.after, self.done, self.rows, self.urgent = work, after, done, rows, urgent
        self.answer: Any = None
        self.error: Exception | None = None

    def settle(self) -> None:
        """Tell the caller, who may be gone; in the loop's thread."""
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


class GroupWriter:
    """The one writer of an engine. It owns a thread until `close`."""

    def __init__(self, commit: Commit) -> None:
        self._commit = commit
        self._loop = asyncio.get_running_loop()
        self._arriving: SimpleQueue[_Write | None] = SimpleQueue()
        self._unsettled = 0  # known in the loop's thread only
        self._is_closed = False
        self._ended = asyncio.Event()
        # A process that ends without closing loses what was not answered, as one that is killed does.
        self._thread = Thread(target=self._run, name="store-writer", daemon=True)
        self._thread.start()

    async def write(
        self,
        work: Callable[[Connection], T],
        after: Callable[[T], None] | None = None,
        *,
        rows: int = 1,
        urgent: bool = False,
    ) -> T:
        """Run `work` in the next transaction; see `Database.write`."""
        if self._is_closed:
            raise StoreUnavailable("the store is closed")
        if self._unsettled >= _QUEUE_SIZE:
            raise StoreUnavailable("the store cannot keep up")
        done: asyncio.Future[T] = self._loop.create_future()
        self._unsettled += 1
        self._arriving.put(_Write(work, after, done, rows, urgent))
        return await done  # a caller that is cancelled here gives up the answer, not the write

    async def close(self) -> None:
        """Do what is waiting, then end; may come twice."""
        if not self._is_closed:
            self._is_closed = True
            self._arriving.put(None)
        await self._ended.wait()

    def _settle(self, group: Sequence[_Write]) -> None:
        """Tell callers what became of their writes; in the loop's thread."""
        self._unsettled -= len(group)
        for write in group:
            write.settle()

    # What the thread does.

    def _run(self) -> None:
        waiting = _Waiting(self._arriving)
        try:
            while group := waiting.next_group():
                self._write(group)
                self._loop.call_soon_threadsafe(self._settle, group)
            self._loop.call_soon_threadsafe(self._ended.set)
        except RuntimeError:
            # The loop was closed: nobody is left to be told, and what is not written yet was not answered either.
            if not self._loop.is_closed():
                raise

    def _write(self, group: Sequence[_Write]) -> None:
        """Run a group in one transaction; each write knows afterwards what became of it."""
        try:
            self._commit(partial(_perform, group))
        except Exception as exc:  # the edge between callers: whatever one write raised, the others get an answer
            if len(group) == 1 or isinstance(translate(exc), StoreUnavailable):
                for write in group:
                    write.error = translate(exc)  # each its own: whoever raises an error adds to its traceback
            else:
                for write in group:
                    self._write([write])


class _Waiting:
    """What waits for its transaction, the urgent apart; known to the thread only."""

    def __init__(self, arriving: "SimpleQueue[_Write | None]") -> None:
        self._arriving = arriving
        self._urgent: deque[_Write] = deque()
        self._others: deque[_Write] = deque()
        self._urgent_in_a_row = 0
        self._is_over = False

    def next_group(self) -> list[_Write]:
        """Wait for writes, and take those of the next transaction; none means the end."""
        self._take_in()
        if self._urgent and (self._urgent_in_a_row < _URGENT_IN_A_ROW or not self._others):
            self._urgent_in_a_row += 1
            return _grouped(self._urgent)
        self._urgent_in_a_row = 0
        return _grouped(self._others)

    def _take_in(self) -> None:
        """Take in all that has arrived, and wait for something where nothing waits."""
        try:
            while not self._is_over:
                write = self._arriving.get(block=not (self._urgent or self._others))
                if write is None:
                    self._is_over = True  # nothing can follow it: the writer is closed
                else:
                    (self._urgent if write.urgent else self._others).append(write)
        except Empty:
            pass


def _grouped(queue: deque[_Write]) -> list[_Write]:
    """Take a group off a queue, oldest first."""
    group: list[_Write] = []
    rows = 0
    while queue and len(group) < _GROUP_SIZE and (not group or rows + queue[0].rows <= _GROUP_ROWS):
        rows += queue[0].rows
        group.append(queue.popleft())
    return group


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
