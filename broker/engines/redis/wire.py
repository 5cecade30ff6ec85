"""One connection over which commands go out without waiting for each other's answers.

Commands of one loop turn leave in one write, answers come back in the order of the commands. A caller that goes away leaves its
place in that order, so it harms nobody. Nothing here asks for the current task: callers may be stepped outside of one.
"""

import asyncio
import math
from collections import deque
from collections.abc import Callable
from typing import Any, Final

from redis.asyncio.connection import AbstractConnection
from redis.exceptions import RedisError, ResponseError

from broker.engines.redis.failures import LOST, unanswered
from broker.engines.redis.outgoing import Outgoing
from broker.errors import EngineUnavailable

__all__ = ["Wire"]

# How many answers may be owed on one connection. At 50,000 answers a second it is what a call's time allows anyway.
_LIMIT: Final = 50_000


class Wire:
    """A connection with its reader and writer; it tells once when it is lost, and fails all who wait."""

    def __init__(self, connection: AbstractConnection, *, timeout_s: float, on_lost: Callable[[BaseException], None]) -> None:
        self._connection, self._timeout_s, self._on_lost = connection, timeout_s, on_lost
        self._loop = asyncio.get_running_loop()
        self._outgoing = Outgoing(connection)
        # Those that wait for answers, with the moment until which theirs must have come; the moments rise.
        self._waiting: deque[tuple[float, asyncio.Future[Any]]] = deque()
        self._alarm: asyncio.TimerHandle | None = None
        self._lost: BaseException | None = None
        self._tasks = [
            self._loop.create_task(self._write(), name="redis.write"),
            self._loop.create_task(self._read(), name="redis.read"),
        ]

    @property
    def is_lost(self) -> bool:
        """Whether nothing goes over it any more."""
        return self._lost is not None

    @property
    def owed(self) -> int:
        """How many answers have not come yet."""
        return len(self._waiting)

    def send(self, packed: bytes, answer: asyncio.Future[Any]) -> None:
        """Send one packed command; `answer` gets its result, or the error that it was answered with.

        Raises:
            EngineUnavailable: It is lost, or too much is under way; nothing was sent.
        """
        if self._lost is not None:
            raise unanswered(self._lost)
        if len(self._waiting) >= _LIMIT:
            raise EngineUnavailable("Redis does not keep up: too many calls are under way")
        deadline = self._loop.time() + self._timeout_s
        self._waiting.append((deadline, answer))
        self._outgoing.put(packed)
        if self._alarm is None:
            self._alarm = self._loop.call_at(deadline, self._check)

    async def close(self) -> None:
        """Let go of the connection; those who wait are failed."""
        self._lose(ConnectionError("closed"))
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        try:
            await self._connection.disconnect(nowait=True)
        except (RedisError, OSError):
            pass  # it is gone either way

    async def _write(self) -> None:
        try:
            await self._outgoing.run()
        except LOST as exc:
            self._lose(exc)

    async def _read(self) -> None:
        read, waiting = self._connection.read_response, self._waiting
        try:
            while True:
                try:
                    result = await read(timeout=math.inf, disconnect_on_error=False)
                except ResponseError as exc:
                    _, answer = waiting.popleft()
                    if not answer.done():
                        answer.set_exception(exc)
                else:
                    _, answer = waiting.popleft()
                    if not answer.done():
                        answer.set_result(result)
        except (*LOST, IndexError) as exc:  # an answer that nobody asked for: the order is broken
            self._lose(exc)

    def _check(self) -> None:
        """Look whether the oldest answer is overdue; one timer for all of them."""
        self._alarm = None
        if not self._waiting:
            return
        deadline = self._waiting[0][0]
        if deadline <= self._loop.time():
            self._lose(TimeoutError())
        else:
            self._alarm = self._loop.call_at(deadline, self._check)

    def _lose(self, exc: BaseException) -> None:
        if self._lost is not None:
            return
        self._lost = exc
        if self._alarm is not None:
            self._alarm.cancel()
        for _, answer in self._waiting:
            if not answer.done():
                answer.set_exception(unanswered(exc))
        self._waiting.clear()
        self._on_lost(exc)
