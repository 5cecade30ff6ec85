"""A Redis stream as a source of events, read by a consumer group over all nodes.

Fields of an entry: `method`, `payload`, and `key` where order matters. A node carries the entries of one key that it has read
out in their order; what different nodes have read, and what is tried again, may pass each other, for Redis hands entries out
one by one. Where order must hold over nodes, the PostgreSQL outbox keeps it.

Redis itself remembers who holds what: an entry that is idle for longer than `held_s` belongs to whoever asks first. That is how
those of a dead node come back; and one that shall be tried again after a while is put aside by setting how long it has been
idle, so that no node has to remember it. Deliveries are counted by Redis too, and tries that do not count are counted back.

It waits on a connection of its own, since a command that blocks would hold up all others.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Final

from msgspec.structs import replace
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import RedisError

from broker.engines.redis.dialer import ask
from broker.engines.redis.failures import unanswered
from broker.engines.redis.link import Link
from broker.engines.redis.packing import Argument
from broker.errors import BadInput, EngineUnavailable
from broker.event_source import Again, Backlog, Dead, Item, Settled
from config.clock import Clock

__all__ = ["EventStream"]

_TAKE_OVER_EVERY_S: Final = 1.0
# Beyond it the oldest dead letters make room: Redis keeps them in memory.
_DEAD_LIMIT: Final = 100_000
# How long a consumer that holds nothing must have been silent before its name is removed from the group.
_FORGOTTEN_AFTER_MS: Final = 3_600_000
# How many ids are remembered that the end shall leave where they are; the others are tried sooner than they ought to.
_PUT_OFF_LIMIT: Final = 10_000
_ANSWER_S: Final = 2.0
_PENDING_AT_ONCE: Final = 1000
_FROM_THE_FIRST: Final = b"0-0"


class EventStream:
    """Implements `broker.event_source.EventSource`; order holds within what one node has read.

    Args:
        link: A link of its own, not started yet.
        consumer: Names this process in the group, unlike any other.
        held_s: How long what was fetched is this process's alone; longer than a batch takes.
        trims: Remove entries that are done or dead; without it the stream grows until somebody else trims it.
    """

    def __init__(self, link: Link, stream: str, group: str, consumer: str, clock: Clock, *, held_s: float, trims: bool) -> None:
        self._link, self._stream, self._group, self._consumer = link, stream, group, consumer
        self._clock, self._held_ms, self._trims = clock, round(held_s * 1000), trims
        self._arrived: list[Item] = []
        self._held: dict[str, Item] = {}
        self._fields: dict[str, Sequence[bytes]] = {}  # of what is held, for dead letters
        self._put_off: set[str] = set()
        self._take_over_at = clock.monotonic()
        self._look_from = _FROM_THE_FIRST
        self._waiting: AbstractConnection | None = None
        self._is_started = False

    async def open(self) -> None:
        await self._link.start()
        self._is_started = True
        await self._make_group()
        await self._forget_consumers()

    async def fetch(self, limit: int) -> Sequence[Item]:
        items: list[Item] = []
        if self._clock.monotonic() >= self._take_over_at:
            items = await self._take_over(limit)
            if len(items) < limit and self._look_from == _FROM_THE_FIRST:
                self._take_over_at = self._clock.monotonic() + _TAKE_OVER_EVERY_S
        items += self._arrived
        self._arrived = []
        if len(items) < limit:
            items += await self._read(limit - len(items))
        self._held = {item.id: item for item in items}
        self._put_off -= self._held.keys()
        return items

    async def settle(self, settled: Sequence[Settled]) -> None:
        gone: list[str] = []
        aside: list[tuple[Item, float]] = []
        named = set()
        for item, end in settled:
            named.add(item.id)
            match end:
                case Again(delay_s, counts):
                    aside.append((item if counts else _uncounted(item), delay_s))
                    self._put_off.add(item.id)
                case Dead(reason):
                    await self._bury(item, reason)  # before it is acknowledged: twice is better than never
                    gone.append(item.id)
                case _:
                    gone.append(item.id)
        aside += [(_uncounted(item), 0.0) for id_, item in self._held.items() if id_ not in named]
        if gone:
            await self._command("XACK", self._stream, self._group, *gone)
            if self._trims:
                await self._command("XDEL", self._stream, *gone)
        await asyncio.gather(*(self._set_aside(item, delay_s) for item, delay_s in aside))
        self._held.clear()
        self._fields.clear()
        if len(self._put_off) > _PUT_OFF_LIMIT:  # what others took over since is never taken off the list
            self._put_off.clear()

    async def wait(self, seconds: float) -> None:
        block_ms = max(1, round(seconds * 1000))
        command = ("XREADGROUP", "GROUP", self._group, self._consumer, "COUNT", "100", "BLOCK", str(block_ms))
        try:
            async with asyncio.timeout(seconds + _ANSWER_S):
                connection = self._waiting = self._waiting or await self._link.dial(self._stream)
                reply = await ask(connection, *command, "STREAMS", self._stream, ">")
        except (RedisError, OSError, TimeoutError) as exc:
            await self._stop_waiting()
            if _is_groupless(exc):
                return  # the next fetch makes it anew
            raise unanswered(exc) from exc
        except BaseException:
            await self._stop_waiting()  # an answer to it may be on its way
            raise
        self._arrived += self._items(_entries(reply))

    async def backlog(self) -> Backlog:
        if self._trims:
            count = await self._command("XLEN", self._stream)
            oldest = await self._command("XRANGE", self._stream, "-", "+", "COUNT", 1)
            return Backlog(count, _moment(oldest[0][0]) if oldest else None)
        pending = await self._command("XPENDING", self._stream, self._group)
        lag = 0
        for group in await self._command("XINFO", "GROUPS", self._stream):
            told = dict(zip(group[::2], group[1::2], strict=False))
            if told[b"name"] == self._group.encode():
                lag = told.get(b"lag") or 0  # Redis 6.2 does not tell it
        return Backlog(pending[0] + lag, _moment(pending[1]) if pending[0] else None)

    async def close(self) -> None:
        await self._stop_waiting()
        if self._is_started:
            self._is_started = False
            with suppress(EngineUnavailable):  # then others take it over when it has been idle for long enough
                await self._give_all_back()
        await self._link.close()

    async def _give_all_back(self) -> None:
        """Let others take at once what is held here, even what came too late for anybody to see."""
        rows = await self._command("XPENDING", self._stream, self._group, "-", "+", _PENDING_AT_ONCE, self._consumer)
        held = [Item(row[0].decode(), "", b"", attempt=row[3]) for row in rows]
        await asyncio.gather(*(self._set_aside(_uncounted(item), 0.0) for item in held if item.id not in self._put_off))

    async def _read(self, limit: int) -> list[Item]:
        reply = await self._grouped(
            "XREADGROUP", "GROUP", self._group, self._consumer, "COUNT", limit, "STREAMS", self._stream, ">"
        )
        return self._items(_entries(reply))

    async def _take_over(self, limit: int) -> list[Item]:
        """Take what nobody has settled in time, and what was put aside until now.

        Redis looks at ten times as many as it may give and tells where it stopped; those behind have their turn the next time.
        """
        reply = await self._grouped(
            "XAUTOCLAIM", self._stream, self._group, self._consumer, self._held_ms, self._look_from, "COUNT", limit
        )
        self._look_from = reply[0]
        items = self._items([entry for entry in reply[1] if entry and entry[1]])
        ranges = [("XPENDING", self._stream, self._group, item.id, item.id, 1) for item in items]
        counts = await asyncio.gather(*(self._command(*command) for command in ranges))
        return [_counted(item, rows[0][3] if rows else 1) for item, rows in zip(items, counts, strict=True)]

    async def _set_aside(self, item: Item, delay_s: float) -> None:
        """Let an entry look as if it had been idle for so long that it comes up again after `delay_s`."""
        idle_ms = max(0, self._held_ms - round(delay_s * 1000))
        head = ("XCLAIM", self._stream, self._group, self._consumer, 0, item.id)
        await self._command(*head, "IDLE", idle_ms, "RETRYCOUNT", item.attempt, "JUSTID")

    async def _bury(self, item: Item, reason: str) -> None:
        fields = self._fields.get(item.id, ())
        about = ("id", item.id, "attempts", item.attempt, "reason", reason)
        letters = f"{self._stream}.dead"
        await self._link.command("XADD", letters, "MAXLEN", "~", _DEAD_LIMIT, "*", *about, *fields, key=letters)

    async def _make_group(self) -> None:
        """Make stream and group; a group begins with what is there already."""
        try:
            await self._command("XGROUP", "CREATE", self._stream, self._group, "0", "MKSTREAM")
        except EngineUnavailable as exc:
            said = str(exc.__cause__)
            if said.startswith("WRONGTYPE"):
                raise BadInput("stream", "names a key that holds something else than a stream") from exc
            if "already exists" not in said:
                raise

    async def _forget_consumers(self) -> None:
        """Remove the names of those who are long gone and hold nothing; what the dead hold is taken over first."""
        for row in await self._command("XINFO", "CONSUMERS", self._stream, self._group):
            told = dict(zip(row[::2], row[1::2], strict=False))
            if told[b"pending"] == 0 and told[b"idle"] > _FORGOTTEN_AFTER_MS:
                await self._command("XGROUP", "DELCONSUMER", self._stream, self._group, told[b"name"])

    async def _grouped(self, *args: Argument) -> Any:
        """Run a command that needs the group, which is gone where Redis was emptied."""
        try:
            return await self._command(*args)
        except EngineUnavailable as exc:
            if not _is_groupless(exc.__cause__):
                raise
        await self._make_group()
        return await self._command(*args)

    async def _command(self, *args: Argument) -> Any:
        return await self._link.command(*args, key=self._stream)

    async def _stop_waiting(self) -> None:
        connection, self._waiting = self._waiting, None
        if connection is not None:
            with suppress(RedisError, OSError):
                await connection.disconnect(nowait=True)

    def _items(self, entries: Sequence[Any]) -> list[Item]:
        items = []
        for id_, fields in entries:
            items.append(_item(id_.decode(), fields))
            self._fields[items[-1].id] = fields
        return items


def _item(id_: str, fields: Sequence[bytes]) -> Item:
    told = dict(zip(fields[::2], fields[1::2], strict=False))
    for name in (b"method", b"payload"):
        if name not in told:
            return Item(id_, "", b"", fault=f"has no field {name.decode()}")
    try:
        key, trace = told.get(b"key", b"").decode(), told.get(b"traceparent", b"").decode("latin-1")
        return Item(id_, told[b"method"].decode(), told[b"payload"], key, token=id_, trace=trace)
    except UnicodeDecodeError:
        return Item(id_, "", b"", fault="method and key must be UTF-8")


def _counted(item: Item, attempt: int) -> Item:
    return replace(item, attempt=attempt)


def _uncounted(item: Item) -> Item:
    return _counted(item, max(0, item.attempt - 1))


def _entries(reply: Any) -> Sequence[Any]:
    """Take the entries out of an answer for one stream; those that were deleted since come without fields."""
    return [entry for entry in reply[0][1] if entry[1]] if reply else []


def _moment(id_: bytes) -> datetime:
    return datetime.fromtimestamp(int(id_.partition(b"-")[0]) / 1000, UTC)


def _is_groupless(exc: BaseException | None) -> bool:
    return exc is not None and str(exc).startswith("NOGROUP")
