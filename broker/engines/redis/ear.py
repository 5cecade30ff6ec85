"""One connection that listens: topics are subscribed to in batches, confirmations come back in the order of the commands.

In a cluster a command may name topics of one slot only, and the server itself ends subscriptions whose slot moves away.
"""

import asyncio
import math
from collections import deque
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Any, Final, Protocol

from redis.asyncio.connection import AbstractConnection
from redis.crc import key_slot
from redis.exceptions import RedisError, ResponseError

from broker.engines.redis.failures import LOST
from broker.engines.redis.outgoing import Outgoing
from broker.engines.redis.packing import pack

__all__ = ["Ear", "Hearer"]

# Topics per command, and commands under way: so many that a round trip costs little, so few that messages get in between.
_BATCH: Final = 1000
_UNDER_WAY: Final = 2
_PING: Final = pack("PING")
_PING_AFTER_S: Final = 3.0


class Hearer(Protocol):
    """Who owns ears. Everything is called in the loop's thread and must not raise."""

    def hear(self, topic: bytes, payload: bytes) -> None:
        """A message came."""

    def confirm(self, ear: "Ear", topic: bytes) -> None:
        """A topic is subscribed to: no later message is missed."""

    def refuse(self, ear: "Ear", topics: Sequence[bytes], exc: ResponseError) -> None:
        """Topics were not subscribed to."""

    def shut_out(self, ear: "Ear", topic: bytes) -> None:
        """The server has ended a subscription by itself: its slot has moved."""

    def lose(self, ear: "Ear", exc: BaseException) -> None:
        """The connection is lost; told once."""


class _Asked:
    """A command that is not wholly confirmed yet."""

    __slots__ = ("confirmed", "topics", "verb")

    def __init__(self, verb: str, topics: Sequence[bytes]) -> None:
        self.verb, self.topics = verb, topics
        self.confirmed = 0


class Ear:
    """A listening connection. `topics` are those that it has been told to subscribe to and not to leave since."""

    def __init__(self, connection: AbstractConnection, hearer: Hearer, *, is_sharded: bool, timeout_s: float) -> None:
        self.topics: set[bytes] = set()
        self._connection, self._hearer, self._timeout_s = connection, hearer, timeout_s
        self._is_sharded = is_sharded
        self._subscribe, self._unsubscribe = ("SSUBSCRIBE", "SUNSUBSCRIBE") if is_sharded else ("SUBSCRIBE", "UNSUBSCRIBE")
        self._loop = asyncio.get_running_loop()
        self._outgoing = Outgoing(connection)
        self._backlog: deque[_Asked] = deque()
        self._asked: deque[_Asked] = deque()
        self._owed = 0
        # How many commands that are not answered name a topic: only the last one's confirmation counts.
        self._pending: dict[bytes, int] = {}
        self._asked_at = self._heard_at = self._loop.time()
        self._is_lost = False
        self._watch = self._loop.call_later(timeout_s / 2, self._check)
        self._tasks = [
            self._loop.create_task(self._write(), name="redis.ear.write"),
            self._loop.create_task(self._read(), name="redis.ear.read"),
        ]

    def subscribe(self, topics: Iterable[bytes]) -> None:
        """Ask for topics; each is confirmed, refused or lost with the ear."""
        wanted = [topic for topic in topics if topic not in self.topics]
        self.topics.update(wanted)
        self._ask(self._subscribe, wanted)

    def unsubscribe(self, topics: Iterable[bytes]) -> None:
        """Leave topics; those that are not subscribed to are passed over."""
        left = [topic for topic in topics if topic in self.topics]
        self.topics.difference_update(left)
        self._ask(self._unsubscribe, left)

    async def close(self) -> None:
        """Let go of the connection; nothing is told any more."""
        self._is_lost = True
        self._watch.cancel()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        try:
            await self._connection.disconnect(nowait=True)
        except (RedisError, OSError):
            pass  # it is gone either way

    def _ask(self, verb: str, topics: Sequence[bytes]) -> None:
        for topic in topics:
            self._pending[topic] = self._pending.get(topic, 0) + 1
        for part in self._parts(topics):
            self._backlog.append(_Asked(verb, part))
        self._send()

    def _parts(self, topics: Sequence[bytes]) -> Iterable[Sequence[bytes]]:
        """Cut topics into what one command may name."""
        if not self._is_sharded:
            rest = iter(topics)
            while part := tuple(islice(rest, _BATCH)):
                yield part
            return
        by_slot: dict[int, list[bytes]] = {}
        for topic in topics:
            by_slot.setdefault(key_slot(topic), []).append(topic)
        yield from by_slot.values()

    def _send(self) -> None:
        """Send what waits, as far as it may be under way at once: so many commands, or so many topics in small ones."""
        while self._backlog and (len(self._asked) < _UNDER_WAY or self._owed + len(self._backlog[0].topics) <= _BATCH):
            asked = self._backlog.popleft()
            if not self._asked:
                self._asked_at = self._loop.time()
            self._asked.append(asked)
            self._owed += len(asked.topics)
            self._outgoing.put(pack(asked.verb, *asked.topics))

    async def _write(self) -> None:
        try:
            await self._outgoing.run()
        except LOST as exc:
            self._lose(exc)

    async def _read(self) -> None:
        read, hear = self._connection.read_response, self._hearer.hear
        try:
            while True:
                try:
                    reply = await read(timeout=math.inf, disconnect_on_error=False)
                except ResponseError as exc:
                    self._refused(exc)
                    continue
                self._heard_at = self._loop.time()
                if isinstance(reply, list) and reply[0] in _MESSAGES:
                    hear(reply[1], reply[2])
                else:
                    self._answered(reply)
        except (*LOST, IndexError) as exc:  # an answer that nobody asked for: the order is broken
            self._lose(exc)

    def _answered(self, reply: Any) -> None:
        """Take a confirmation; where nothing is subscribed to, a pong is not a list."""
        kind, topic = (reply[0], reply[1]) if isinstance(reply, list) else (b"pong", b"")
        if kind in _SUBSCRIBED:
            if self._advance(topic):
                self._hearer.confirm(self, topic)
        elif kind in _UNSUBSCRIBED:
            asked = self._asked[0] if self._asked else None
            if asked is not None and asked.verb == self._unsubscribe and asked.topics[asked.confirmed] == topic:
                self._advance(topic)
            elif topic in self.topics:
                self.topics.discard(topic)
                self._hearer.shut_out(self, topic)
        else:
            self._asked.popleft()
            self._send()

    def _advance(self, topic: bytes) -> bool:
        """Count one topic of the command that is being answered; tells whether no later command names it."""
        asked = self._asked[0]
        asked.confirmed += 1
        self._owed -= 1
        if asked.confirmed == len(asked.topics):
            self._asked.popleft()
            self._send()
        return self._settle(topic)

    def _settle(self, topic: bytes) -> bool:
        left = self._pending.get(topic, 1) - 1
        if left:
            self._pending[topic] = left
        else:
            self._pending.pop(topic, None)
        return not left

    def _refused(self, exc: ResponseError) -> None:
        """Take an error: it is the answer to one whole command."""
        asked = self._asked.popleft()
        rest = asked.topics[asked.confirmed :]
        self._owed -= len(rest)
        settled = [topic for topic in rest if self._settle(topic)]
        if asked.verb == self._subscribe:
            self.topics.difference_update(settled)
            self._hearer.refuse(self, settled, exc)
        self._send()

    def _check(self) -> None:
        """Be sure that the other side is alive: whoever owes an answer must say something; silence is asked."""
        self._watch = self._loop.call_later(self._timeout_s / 2, self._check)
        now = self._loop.time()
        if self._asked:
            if now - max(self._asked_at, self._heard_at) >= self._timeout_s:
                self._lose(TimeoutError())
        elif now - self._heard_at >= _PING_AFTER_S:
            self._asked_at = now
            self._asked.append(_Asked("PING", ()))
            self._outgoing.put(_PING)

    def _lose(self, exc: BaseException) -> None:
        if not self._is_lost:
            self._is_lost = True
            self._watch.cancel()
            self._hearer.lose(self, exc)


_MESSAGES: Final = frozenset({b"message", b"smessage"})
_SUBSCRIBED: Final = frozenset({b"subscribe", b"ssubscribe"})
_UNSUBSCRIBED: Final = frozenset({b"unsubscribe", b"sunsubscribe"})
