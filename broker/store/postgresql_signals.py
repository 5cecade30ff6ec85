"""Signals over LISTEN and NOTIFY, on a connection of their own.

Not within the transactions that they tell of: PostgreSQL lets those that notify commit one after the other, under one lock for
the whole server, so that every accepted notification would wait for every other. Sent apart, what comes up while a signal is
under way leaves in the next one; and since nothing of it need be durable, the connection does not wait for the disk.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any, Final

import asyncpg
import msgspec

from broker.errors import StoreUnavailable
from broker.outage import Outage
from broker.store.failures import translate, translated
from config.clock import Clock

__all__ = ["CHANNEL", "PostgresSignals"]

CHANNEL: Final = "heliograph_store"

# A payload may have 8,000 bytes; an id has 36.
_IDS_PER_SIGNAL: Final = 150
# How many ends may wait to be told; the oldest make room, since their steps are gone in any case.
_ENDS_WAITING: Final = 5000
# Between two signals, so that a busy process sends at most so many and each carries more.
_SPACING_S: Final = 0.005
# A connection that went away silently is found after this long, and the next signal finds it sooner.
_CHECK_S: Final = 30.0
_COMMAND_TIMEOUT_S: Final = 3.0
_LAST_WORDS_S: Final = 1.0


class _Signal(msgspec.Struct, omit_defaults=True):
    """A payload, as JSON."""

    sender: str
    work: bool = False
    ended: tuple[str, ...] = ()


_DECODER: Final = msgspec.json.Decoder(_Signal)


class PostgresSignals:
    """Implements `broker.store.signals.Signals`. It owns a task until `close`, and connects anew as often as needed.

    Args:
        arguments: How to connect, as asyncpg takes it.
    """

    def __init__(self, arguments: dict[str, Any], clock: Clock, *, connect_timeout_s: float) -> None:
        self._arguments, self._clock, self._connect_timeout_s = arguments, clock, connect_timeout_s
        self._sender = str(clock.new_id())
        self._on_work: Callable[[], None] = lambda: None
        self._on_ended: Callable[[str], None] = lambda _: None
        self._has_work = False
        self._ended: dict[str, None] = {}  # in the order of telling
        self._stir = asyncio.Event()
        self._outage = Outage("store signals", clock)
        self._closing = asyncio.Event()
        self._is_listening = False
        self._tried = asyncio.Event()
        self._task = asyncio.get_running_loop().create_task(self._run(), name="store:signals")

    async def tried(self) -> None:
        """Wait until it listens for the first time, or could not: whoever opens a store need not begin deaf."""
        await self._tried.wait()

    def tell_work(self) -> None:
        self._has_work = True
        self._stir.set()

    def tell_ended(self, notification_id: str) -> None:
        self._ended[notification_id] = None
        if len(self._ended) > _ENDS_WAITING:
            del self._ended[next(iter(self._ended))]
        self._stir.set()

    def hear(self, on_work: Callable[[], None], on_ended: Callable[[str], None]) -> None:
        self._on_work, self._on_ended = on_work, on_ended

    async def close(self) -> None:
        self._closing.set()
        self._stir.set()
        if self._is_listening:
            await asyncio.wait({self._task}, timeout=_LAST_WORDS_S)
        self._task.cancel()
        await asyncio.wait({self._task})

    async def _run(self) -> None:
        while not self._closing.is_set():
            try:
                with translated(translate):
                    async with self._connected() as connection:
                        self._outage.ended()
                        if self._tried.is_set():
                            self._on_work()  # there may be some that was told while nobody listened here
                        self._tried.set()
                        await self._tell_forever(connection)
            except StoreUnavailable as exc:
                self._tried.set()
                await self._clock.sleep(self._outage.failed(exc))

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[Any]:
        connection = await asyncpg.connect(
            **self._arguments,
            timeout=self._connect_timeout_s,
            command_timeout=_COMMAND_TIMEOUT_S,
            server_settings={"application_name": "heliograph signals", "synchronous_commit": "off"},
        )
        try:
            connection.add_termination_listener(lambda _: self._stir.set())
            await connection.add_listener(CHANNEL, self._heard)
            self._is_listening = True
            yield connection
        finally:
            self._is_listening = False
            connection.terminate()

    async def _tell_forever(self, connection: Any) -> None:
        while True:
            await _within(_CHECK_S, self._stir)
            self._stir.clear()
            if connection.is_closed():
                raise StoreUnavailable("the connection ended")
            if (payload := self._next_payload()) is None:
                if self._closing.is_set():
                    return
                await connection.execute("SELECT 1")
                continue
            await connection.execute("SELECT pg_notify($1, $2)", CHANNEL, payload)
            await _within(_SPACING_S, self._closing)

    def _next_payload(self) -> str | None:
        """Take what there is to tell; what does not fit stirs again."""
        if not (self._has_work or self._ended):
            return None
        ended = tuple(self._ended)[:_IDS_PER_SIGNAL]
        signal = _Signal(self._sender, self._has_work, ended)
        self._has_work = False
        for notification_id in ended:
            del self._ended[notification_id]
        if self._ended or self._closing.is_set():
            self._stir.set()
        return msgspec.json.encode(signal).decode()

    def _heard(self, _connection: Any, _pid: int, _channel: str, payload: str) -> None:
        try:
            signal = _DECODER.decode(payload)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            return  # somebody else's words
        if signal.sender == self._sender:
            return
        for notification_id in signal.ended:
            self._on_ended(notification_id)
        if signal.work:
            self._on_work()


async def _within(seconds: float, event: asyncio.Event) -> None:
    """Wait for an event, at most so long."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
