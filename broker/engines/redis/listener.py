"""What this node listens to, over one connection per server, kept up through losses and moves.

Topics that are to be left and to be subscribed to are collected over a loop turn. When a listening connection was lost, it is
opened anew, all its topics are subscribed to again, and then whoever asked for it is told that messages may have been missed.
"""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Final

from redis.exceptions import MovedError, RedisError, ResponseError

from broker.engines.redis.ear import Ear
from broker.engines.redis.failures import reason_of
from broker.engines.redis.greeting import Unfit
from broker.engines.redis.server import Server
from broker.engines.redis.servers import Servers
from broker.errors import EngineUnavailable
from broker.outage import Outage
from config.clock import Clock
from config.logs import get_logger

__all__ = ["Listener", "Receive"]

Receive = Callable[[bytes], None]

_log = get_logger()
_FAILURES: Final = (RedisError, OSError, TimeoutError, Unfit)


class _Topic:
    """A topic that is wanted. It is held once a caller was told that it is subscribed to."""

    __slots__ = ("is_confirmed", "is_held", "receive", "waiting")

    def __init__(self, receive: Receive) -> None:
        self.receive = receive
        self.is_held = self.is_confirmed = False
        self.waiting: list[asyncio.Future[None]] = []


class Listener:
    """Subscribes and dispatches; the link tells it when servers changed."""

    def __init__(
        self, servers: Servers, clock: Clock, *, is_sharded: bool, connect_timeout_s: float, call_timeout_s: float
    ) -> None:
        self._servers, self._clock, self._is_sharded = servers, clock, is_sharded
        self._connect_timeout_s, self._call_timeout_s = connect_timeout_s, call_timeout_s
        self._topics: dict[bytes, _Topic] = {}
        # Wanted topics that no ear has been told of, and topics that ears are to be told to leave.
        self._homeless: set[bytes] = set()
        self._left: set[bytes] = set()
        self._ears: dict[Server, tuple[Ear, int]] = {}
        # What each ear has still to confirm after a loss, before what was missed can be looked for.
        self._mending: dict[Ear, set[bytes]] = {}
        self._opening: dict[Server, asyncio.Task[None]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._resumed: list[Callable[[], None]] = []
        self._outage = Outage("redis pub/sub", clock)
        self._is_flushing = self._is_closed = False

    def on_resume(self, call: Callable[[], None]) -> None:
        """Have `call` called after messages may have been missed, once everything is subscribed to again."""
        self._resumed.append(call)

    @property
    def topics(self) -> int:
        """How many topics are wanted."""
        return len(self._topics)

    async def listen(self, name: str, receive: Receive) -> None:
        """Have `receive` called with every payload of a topic; once it returns, no later one is missed.

        Raises:
            EngineUnavailable: It is not listened to (or still is, where it was before); bounded by the time of a call.
        """
        topic = name.encode()
        if self._servers.of(topic).is_away:
            raise EngineUnavailable("Redis is away")
        wanted = self._topics.get(topic)
        if wanted is None:
            wanted = self._topics[topic] = _Topic(receive)
            self._homeless.add(topic)
            self._flush_soon()
        wanted.receive = receive
        if not wanted.is_confirmed:
            await self._confirmed(topic, wanted)
        wanted.is_held = True

    async def unlisten(self, name: str) -> None:
        """Stop; nothing more of the topic is received. One that was not listened to is no error."""
        topic = name.encode()
        wanted = self._topics.get(topic)
        if wanted is not None:
            _fail(wanted, "it was left meanwhile")
            self._drop(topic)

    def rearrange(self) -> None:
        """Follow a change of servers: their number, who serves what, or one that is connected anew."""
        if self._is_closed:
            return
        living = set(self._servers.all())
        for server, task in list(self._opening.items()):
            if server not in living:
                task.cancel()
                self._opening.pop(server)
        for server, (ear, life) in list(self._ears.items()):
            if server not in living or (server.state.is_connected and server.life != life):
                self.lose(ear, ConnectionError("the server was connected anew"))
        if self._homeless:
            self._flush_soon()

    async def close(self) -> None:
        """Let go of all connections; may come twice."""
        self._is_closed = True
        for task in (*self._opening.values(), *self._tasks):
            task.cancel()
        await asyncio.gather(*self._opening.values(), *self._tasks, return_exceptions=True)
        for ear, _ in self._ears.values():
            await ear.close()
        self._opening.clear()
        self._ears.clear()
        for wanted in self._topics.values():
            _fail(wanted, "closed")
        self._topics.clear()

    # Hearer

    def hear(self, topic: bytes, payload: bytes) -> None:
        wanted = self._topics.get(topic)
        if wanted is None:
            return
        try:
            wanted.receive(payload)
        except Exception:  # the edge of one message: those after it are to be delivered
            _log.exception("pubsub.receive_failed")

    def confirm(self, ear: Ear, topic: bytes) -> None:
        wanted = self._topics.get(topic)
        if wanted is not None:
            wanted.is_confirmed = True
            waiting, wanted.waiting = wanted.waiting, []
            for waiter in waiting:
                if not waiter.done():
                    waiter.set_result(None)
        self._mended(ear, topic)

    def refuse(self, ear: Ear, topics: Sequence[bytes], exc: ResponseError) -> None:
        known = [topic for topic in topics if topic in self._topics]
        for topic in topics:
            self._mended(ear, topic)
        if isinstance(exc, MovedError):
            self._homeless.update(known)
            self._servers.moved(exc)
            self._flush_soon()
            return
        for topic in known:
            _fail(self._topics[topic], f"Redis refused: {reason_of(exc)}")
        if held := [topic for topic in known if self._topics[topic].is_held]:
            self._homeless.update(held)
            self._run(self._try_later(exc), "redis.listen_later")

    def shut_out(self, ear: Ear, topic: bytes) -> None:
        wanted = self._topics.get(topic)
        if wanted is not None:
            wanted.is_confirmed = False
            self._homeless.add(topic)
            self._flush_soon()

    def lose(self, ear: Ear, exc: BaseException) -> None:
        server = next((server for server, (known, _) in self._ears.items() if known is ear), None)
        if server is None or self._is_closed:
            return
        del self._ears[server]
        self._mending.pop(ear, None)
        for topic in ear.topics:
            wanted = self._topics.get(topic)
            if wanted is not None:
                wanted.is_confirmed = False
                self._homeless.add(topic)
        self._run(ear.close(), "redis.ear.close")
        if server in self._servers.all():
            self._open(server)
        self._flush_soon()

    # Placing topics

    async def _confirmed(self, topic: bytes, wanted: _Topic) -> None:
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[None] = loop.create_future()
        wanted.waiting.append(waiter)
        timer = loop.call_later(self._call_timeout_s, _give_up, waiter, "Redis did not answer: it took too long")
        try:
            await waiter
        except BaseException:
            if waiter in wanted.waiting:
                wanted.waiting.remove(waiter)
            if not wanted.is_held and not wanted.waiting and self._topics.get(topic) is wanted:
                self._drop(topic)
            raise
        finally:
            timer.cancel()

    def _drop(self, topic: bytes) -> None:
        del self._topics[topic]
        if topic in self._homeless:
            self._homeless.discard(topic)
        else:
            self._left.add(topic)
            self._flush_soon()
        for ear in list(self._mending):
            self._mended(ear, topic)

    def _flush_soon(self) -> None:
        if not self._is_flushing and not self._is_closed:
            self._is_flushing = True
            asyncio.get_running_loop().call_soon(self._flush)

    def _flush(self) -> None:
        self._is_flushing = False
        if self._is_closed:
            return
        left, self._left = self._left, set()
        if left:
            for ear, _ in self._ears.values():
                ear.unsubscribe(left)
        placed: dict[Ear, list[bytes]] = {}
        for topic in self._homeless:
            if (found := self._ear_for(topic)) is not None:
                placed.setdefault(found, []).append(topic)
        for ear, topics in placed.items():
            self._homeless.difference_update(topics)
            mending = [topic for topic in topics if self._topics[topic].is_held]
            if mending:
                self._mending.setdefault(ear, set()).update(mending)
            ear.subscribe(topics)

    def _ear_for(self, topic: bytes) -> Ear | None:
        """Give the ear that is to listen to a topic; where there is none, one is opened."""
        try:
            server = self._servers.of(topic)
        except EngineUnavailable:
            return None
        if (known := self._ears.get(server)) is not None:
            return known[0]
        self._open(server)
        return None

    def _open(self, server: Server) -> None:
        if server not in self._opening:
            task = asyncio.get_running_loop().create_task(self._keep_opening(server), name="redis.ear.open")
            self._opening[server] = task

    async def _keep_opening(self, server: Server) -> None:
        while True:
            await server.connected()
            life = server.life
            try:
                async with asyncio.timeout(self._connect_timeout_s):
                    connection = await server.dial()
            except _FAILURES as exc:
                await self._clock.sleep(self._outage.failed(exc))
                continue
            if server.life == life:
                break
            await connection.disconnect(nowait=True)  # it may lead to whom the server was before
        self._outage.ended()
        self._opening.pop(server, None)
        ear = Ear(connection, self, is_sharded=self._is_sharded, timeout_s=self._call_timeout_s)
        self._ears[server] = ear, life
        self._flush()

    async def _try_later(self, exc: ResponseError) -> None:
        await self._clock.sleep(self._outage.failed(exc))
        self._flush_soon()

    def _mended(self, ear: Ear, topic: bytes) -> None:
        """Strike a topic off what an ear has to mend; after the last one, what was missed can be looked for."""
        mending = self._mending.get(ear)
        if mending is None:
            return
        mending.discard(topic)
        if not mending:
            del self._mending[ear]
            for call in self._resumed:
                call()

    def _run(self, work: Coroutine[Any, Any, None], name: str) -> None:
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _fail(wanted: _Topic, reason: str) -> None:
    waiting, wanted.waiting = wanted.waiting, []
    for waiter in waiting:
        _give_up(waiter, reason)


def _give_up(waiter: asyncio.Future[None], reason: str) -> None:
    if not waiter.done():
        waiter.set_exception(EngineUnavailable(reason))
