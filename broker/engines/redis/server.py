"""One Redis server as we see it: a few wires, whether it answers, and the one loop that brings it back.

A server is *connected*, *returning* (just lost; calls wait for the first try to reach it again) or *away* (that try failed;
calls fail at once until a later one succeeds). So a broken connection alone is not noticed by callers, and an outage piles
nothing up.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final

import msgspec
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import RedisError

from broker.engines.redis.failures import reason_of, unanswered
from broker.engines.redis.greeting import Unfit
from broker.engines.redis.packing import pack
from broker.engines.redis.wire import Wire
from broker.errors import EngineUnavailable
from broker.outage import Outage
from config.clock import Clock

__all__ = ["Server", "State"]

_PING: Final = pack("PING")
_PING_INTERVAL_S: Final = 3.0
_FAILURES: Final = (RedisError, OSError, TimeoutError, Unfit, EngineUnavailable)
_WAITING_LIMIT: Final = 50_000


class State(msgspec.Struct, frozen=True):
    """Whether Redis answers, since when (a reading of the clock's `monotonic`), and why not."""

    is_connected: bool
    since: float
    reason: str = ""


class Server:
    """Wires to one server. `dial` opens a connection to wherever the server is now, or raises."""

    def __init__(
        self,
        name: str,
        dial: Callable[[], Awaitable[AbstractConnection]],
        clock: Clock,
        *,
        connections: int,
        connect_timeout_s: float,
        call_timeout_s: float,
        prepare: Callable[[], list[bytes]],
        on_change: Callable[[], None],
    ) -> None:
        self.name = name
        self.dial = dial
        self._clock, self._connections = clock, connections
        self._connect_timeout_s, self._call_timeout_s = connect_timeout_s, call_timeout_s
        self._prepare, self._on_change = prepare, on_change
        self._wires: list[Wire] = []
        self._dropped: list[Wire] = []
        self._returning: list[tuple[int, bytes, asyncio.Future[Any]]] | None = []
        self._fell = asyncio.Event()
        self._outage = Outage(f"redis {name}", clock)
        self._keeper: asyncio.Task[None] | None = None
        # Counts how often it was connected anew; whoever holds a connection of an earlier life may hold one to another server.
        self.life = 0
        self._ready: list[asyncio.Future[None]] = []
        self.state = State(is_connected=False, since=clock.monotonic(), reason="not opened yet")

    async def start(self) -> None:
        """Connect, and stay connected from now on.

        Raises:
            redis.exceptions.RedisError, OSError, TimeoutError, Unfit: The first try failed; nothing is kept.
        """
        self._stand(await self._open())
        self.begin()

    def begin(self) -> None:
        """Stay connected from now on; where it is not yet, it is tried."""
        self._keeper = asyncio.get_running_loop().create_task(self._keep(), name=f"redis.keep {self.name}")

    async def close(self) -> None:
        """Let go of all connections; calls fail from now on."""
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)
            self._keeper = None
        self._dropped += self._wires
        self._wires = []
        await self._close_dropped()
        self._abandon("closed")

    def call(self, line: int, packed: bytes) -> asyncio.Future[Any]:
        """Send a packed command; calls with the same `line` are answered in their order.

        Raises:
            EngineUnavailable: The server is known to be away; nothing was sent.
        """
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        if self._wires:
            self._wires[line % len(self._wires)].send(packed, answer)
        elif self._returning is not None and len(self._returning) < _WAITING_LIMIT:
            self._returning.append((line, packed, answer))
        else:
            raise EngineUnavailable(f"Redis is away: {self.state.reason}")
        return answer

    @property
    def is_away(self) -> bool:
        """Whether calls fail at once."""
        return not self._wires and self._returning is None

    async def connected(self) -> None:
        """Wait until the server answers."""
        while not self.state.is_connected:
            ready = asyncio.get_running_loop().create_future()
            self._ready.append(ready)
            await ready

    def distrust(self, reason: str) -> None:
        """Drop the connections and find the server anew: it turned out not to be what it was."""
        if self._wires:
            self._fall(ConnectionError(reason))

    async def _keep(self) -> None:
        while True:
            await self._watch()
            await self._close_dropped()
            await self._return()

    async def _close_dropped(self) -> None:
        dropped, self._dropped = self._dropped, []
        for wire in dropped:
            await wire.close()

    async def _watch(self) -> None:
        """Ping while all is well, so that a silent end is noticed without calls; returns when it has fallen."""
        while self.state.is_connected:
            pinging = asyncio.ensure_future(self._clock.sleep(_PING_INTERVAL_S))
            falling = asyncio.ensure_future(self._fell.wait())
            try:
                await asyncio.wait((pinging, falling), return_when=asyncio.FIRST_COMPLETED)
            finally:
                pinging.cancel()
                falling.cancel()
            for line in range(len(self._wires)):
                try:
                    self.call(line, _PING).add_done_callback(_forget)
                except EngineUnavailable:
                    pass  # so much is under way that its answers tell whether the server lives

    async def _return(self) -> None:
        while True:
            try:
                wires = await self._open()
            except _FAILURES as exc:
                failure = exc if str(exc) else TimeoutError("it does not answer")
                await self._close_dropped()
                self._abandon(reason_of(failure))
                await self._clock.sleep(self._outage.failed(failure))
            else:
                self._outage.ended()
                self._stand(wires)
                return

    async def _open(self) -> list[Wire]:
        """Open all wires, in one bounded time."""
        wires: list[Wire] = []
        try:
            async with asyncio.timeout(self._connect_timeout_s):
                for _ in range(self._connections):
                    connection = await self.dial()
                    wires.append(Wire(connection, timeout_s=self._call_timeout_s, on_lost=self._fall))
                for packed in self._prepare():
                    answer = asyncio.get_running_loop().create_future()
                    wires[0].send(packed, answer)
                    await answer
        except BaseException:
            for wire in wires:
                await wire.close()
            raise
        if any(wire.is_lost for wire in wires):
            self._dropped += wires
            raise ConnectionError("the connection is lost")
        return wires

    def _stand(self, wires: list[Wire]) -> None:
        self._fell.clear()
        self._wires = wires
        self.life += 1
        returning, self._returning = self._returning or [], None
        self.state = State(is_connected=True, since=self._clock.monotonic())
        for line, packed, answer in returning:
            if not answer.done():
                wires[line % len(wires)].send(packed, answer)
        ready, self._ready = self._ready, []
        for future in ready:
            if not future.done():
                future.set_result(None)
        self._on_change()

    def _fall(self, exc: BaseException) -> None:
        """Take note that a wire is lost: the others are not trusted either."""
        if not self.state.is_connected:
            return
        self._returning = []
        self._dropped += self._wires
        self._wires = []
        reason = str(unanswered(exc)) if not isinstance(exc, ConnectionError) else reason_of(exc)
        self.state = State(is_connected=False, since=self._clock.monotonic(), reason=reason)
        self._fell.set()
        self._on_change()

    def _abandon(self, reason: str) -> None:
        """Be away: whoever waited is told, and the next ones are told at once."""
        returning, self._returning = self._returning or [], None
        since = self.state.since if not self.state.is_connected else self._clock.monotonic()
        has_changed = self.state.is_connected or self.state.reason != reason
        self.state = State(is_connected=False, since=since, reason=reason)
        for _, _, answer in returning:
            if not answer.done():
                answer.set_exception(EngineUnavailable(f"Redis is away: {reason}"))
        if has_changed:
            self._on_change()


def _forget(answer: asyncio.Future[Any]) -> None:
    """Take an answer that nobody waits for."""
    if not answer.cancelled():
        answer.exception()
