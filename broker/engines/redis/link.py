"""The way to Redis for all ports: hides whether it is one server, one behind sentinels, or a cluster.

Calls made in one loop turn leave together; those for one slot are carried out in the order of their calls. Every failure is
`EngineUnavailable`, in bounded time: at once where Redis is known to be away, within `broker.call_timeout` where it falls
silent. No coroutine here asks for the current task before it waits.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec
from redis.asyncio.connection import AbstractConnection
from redis.crc import key_slot
from redis.exceptions import AskError, MovedError, NoScriptError, ReadOnlyError, RedisError, ResponseError, TryAgainError

from broker.engines.redis.address import Address
from broker.engines.redis.dialer import Dialer
from broker.engines.redis.failures import reason_of, refused
from broker.engines.redis.greeting import Unfit, explain
from broker.engines.redis.keys import Keys
from broker.engines.redis.listener import Listener, Receive
from broker.engines.redis.packing import Argument, pack
from broker.engines.redis.scripts import Script
from broker.engines.redis.server import Server, State
from broker.engines.redis.servers import ClusterServers, LoneServer, Servers
from broker.errors import EngineUnavailable
from config.clock import Clock
from config.settings import BrokerSettings

__all__ = ["Argument", "Link", "LinkStatistics", "Receive", "State"]

# How often a call is sent on when slots move or a script is unknown; each time the server has said that it did nothing.
_TURNS: Final = 5
_TRY_AGAIN_S: Final = 0.05
_ASKING: Final = pack("ASKING")


class LinkStatistics(msgspec.Struct, frozen=True):
    """Servers known, how many of them answer, and topics that are listened to."""

    servers: int
    connected: int
    topics: int


class Link:
    """Runs scripts and commands, and opens connections for what listens."""

    def __init__(self, address: Address, settings: BrokerSettings, clock: Clock) -> None:
        self.address = address
        self.keys = Keys(address.prefix)
        self._settings, self._clock = settings, clock
        self._scripts: dict[str, Script] = {}
        self._watchers: list[Callable[[], None]] = []
        dialer = Dialer(address, settings)
        self._servers: Servers = (
            ClusterServers(dialer, self._make_server, clock, self._changed, timeout_s=settings.connect_timeout)
            if self.is_cluster
            else LoneServer(dialer, self._make_server, self._changed)
        )
        self._listener = Listener(
            self._servers,
            clock,
            is_sharded=self.is_cluster,
            connect_timeout_s=settings.connect_timeout,
            call_timeout_s=settings.call_timeout,
        )
        self._state = State(is_connected=False, since=clock.monotonic(), reason="not opened yet")

    @property
    def is_cluster(self) -> bool:
        """Whether keys are spread over several masters, and pub/sub is sharded with them."""
        return self.address.topology == "cluster"

    @property
    def publish_verb(self) -> str:
        """The command that publishes to a topic here; a topic of sharded pub/sub lies in the slot of its name."""
        return "SPUBLISH" if self.is_cluster else "PUBLISH"

    @property
    def state(self) -> State:
        """Whether all of Redis answers."""
        return self._state

    def statistics(self) -> LinkStatistics:
        """Count servers."""
        servers = self._servers.all()
        connected = sum(server.state.is_connected for server in servers)
        return LinkStatistics(servers=len(servers), connected=connected, topics=self._listener.topics)

    def on_change(self, call: Callable[[], None]) -> None:
        """Have `call` called, in the loop, whenever servers come, go, are lost or are back."""
        self._watchers.append(call)

    def prepare(self, *scripts: Script) -> None:
        """Have every server know these scripts from the moment at which it is connected.

        Others are loaded when they are first called. That call is repeated then, and so comes after those begun later.
        """
        self._scripts.update((script.sha, script) for script in scripts)

    async def start(self) -> None:
        """Connect.

        Raises:
            EngineUnavailable: Redis cannot be reached or used; one line that names the setting and says what to do.
        """
        try:
            await self._servers.start()
        except (RedisError, OSError, TimeoutError, Unfit, EngineUnavailable) as exc:
            await self._servers.close()
            raise self.unusable(exc) from exc

    async def close(self) -> None:
        """Let go of everything; calls fail from now on. May come twice, or before the start."""
        await self._listener.close()
        await self._servers.close()

    async def run(self, script: Script, keys: Sequence[str], args: Sequence[Argument] = ()) -> Any:
        """Run a script; its keys share a hash tag.

        Returns:
            What it returned: integers, bytes, lists of them, or None for nil and false.
        Raises:
            EngineUnavailable: Whether it ran is unknown, or it says that it was refused.
        """
        packed = pack("EVALSHA", script.sha, len(keys), *keys, *args)
        return await self._call(keys[0].encode(), packed, script)

    async def command(self, *args: Argument, key: str = "") -> Any:
        """Run one command at the server of `key`, or at any where there is none to tell.

        Raises:
            EngineUnavailable: Whether it ran is unknown, or it says that it was refused.
        """
        return await self._call(key.encode(), pack(*args), None)

    async def publish(self, topic: str, payload: bytes) -> int:
        """Publish to a topic; tells how many connections it reached (in a cluster, or from a replica's side: no meaning).

        Raises:
            EngineUnavailable: Whether it was published is unknown.
        """
        reached: int = await self.command(self.publish_verb, topic, payload, key=topic)
        return reached

    async def dial(self, key: str) -> AbstractConnection:
        """Open a connection of its own to the server of a key, for commands that block; the caller closes it.

        Raises:
            EngineUnavailable: It could not be opened.
        """
        server = self._servers.of(key.encode())
        try:
            async with asyncio.timeout(self._settings.connect_timeout):
                connection: AbstractConnection = await server.dial()
        except (RedisError, OSError, TimeoutError, Unfit) as exc:
            raise EngineUnavailable(f"Redis is away: {reason_of(exc)}") from exc
        return connection

    async def listen(self, topic: str, receive: Receive) -> None:
        """Have `receive` called, in the loop, with every payload of a topic; once it returns, no later one is missed.

        It goes on over losses of the connection; what is missed during one is told by `on_resume`.

        Raises:
            EngineUnavailable: It is not listened to, or still is where it was before.
        """
        await self._listener.listen(topic, receive)

    async def unlisten(self, topic: str) -> None:
        """Stop listening; one that was not listened to is no error."""
        await self._listener.unlisten(topic)

    def on_resume(self, call: Callable[[], None]) -> None:
        """Have `call` called after payloads may have been missed, once everything is listened to again."""
        self._listener.on_resume(call)

    def unusable(self, exc: BaseException) -> EngineUnavailable:
        """Say why Redis cannot be used from the start on."""
        cause = exc.__cause__ if isinstance(exc, EngineUnavailable) and exc.__cause__ is not None else exc
        return EngineUnavailable(explain(cause, self.address, timeout_s=self._settings.connect_timeout))

    async def _call(self, key: bytes, packed: bytes, script: Script | None) -> Any:
        line = key_slot(key)  # all of a channel's keys and its topic lie in one slot
        server = self._servers.of(key)
        is_asking = False
        for _ in range(_TURNS):
            try:
                if is_asking:
                    server.call(line, _ASKING).add_done_callback(_forget)
                return await server.call(line, packed)
            except NoScriptError as exc:
                if script is None:
                    raise refused(exc) from exc
                self._scripts[script.sha] = script
                await self._load(server, line, script)
            except MovedError as exc:
                self._servers.moved(exc)
                server, is_asking = self._servers.of(key), False
            except AskError as exc:
                server, is_asking = self._at(exc), True
            except TryAgainError:
                await self._clock.sleep(_TRY_AGAIN_S)
            except ReadOnlyError as exc:
                server.distrust(reason_of(exc))
                raise refused(exc) from exc
            except ResponseError as exc:
                raise refused(exc) from exc
        raise EngineUnavailable("Redis is moving these keys")

    async def _load(self, server: Server, line: int, script: Script) -> None:
        try:
            await server.call(line, script.load_command)
        except ResponseError as exc:
            raise refused(exc) from exc

    def _at(self, exc: AskError) -> Server:
        if isinstance(self._servers, ClusterServers):
            return self._servers.at(exc.host, exc.port)
        raise refused(exc)

    def _make_server(self, name: str, dial: Callable[[], Any], on_change: Callable[[], None]) -> Server:
        return Server(
            name,
            dial,
            self._clock,
            connections=self._settings.connections,
            connect_timeout_s=self._settings.connect_timeout,
            call_timeout_s=self._settings.call_timeout,
            prepare=lambda: [script.load_command for script in self._scripts.values()],
            on_change=on_change,
        )

    def _changed(self) -> None:
        lost = [server.state for server in self._servers.all() if not server.state.is_connected]
        has_turned = bool(lost) == self._state.is_connected
        since = self._clock.monotonic() if has_turned else self._state.since
        self._state = State(is_connected=not lost, since=since, reason=lost[0].reason if lost else "")
        self._listener.rearrange()
        for watcher in self._watchers:
            watcher()


def _forget(answer: asyncio.Future[Any]) -> None:
    """Take an answer that nobody waits for."""
    if not answer.cancelled():
        answer.exception()
