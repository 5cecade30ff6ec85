"""Which server a key belongs to: always the one there is, or in a cluster the master of its slot."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Protocol

from redis.crc import key_slot
from redis.exceptions import MovedError, RedisError

from broker.engines.redis.address import Host
from broker.engines.redis.dialer import Dialer
from broker.engines.redis.finding import SLOTS, SlotRange, dial, dial_found, find_slots
from broker.engines.redis.greeting import Unfit
from broker.engines.redis.server import Server
from broker.errors import EngineUnavailable
from broker.outage import Outage
from config.clock import Clock

__all__ = ["ClusterServers", "LoneServer", "MakeServer", "Servers"]

_REFRESH_S = 1.0


class MakeServer(Protocol):
    """Makes a server that dials by a function of its own."""

    def __call__(self, name: str, dial: Callable[[], object], on_change: Callable[[], None]) -> Server: ...


class Servers(Protocol):
    """All servers of an address."""

    def of(self, key: bytes) -> Server:
        """Tell the server that a key belongs to.

        Raises:
            EngineUnavailable: Nobody serves its slot now.
        """

    def all(self) -> Sequence[Server]:
        """List the masters."""

    def moved(self, exc: MovedError) -> None:
        """Learn that a slot has another master now."""

    async def start(self) -> None:
        """Connect to all.

        Raises:
            redis.exceptions.RedisError, OSError, TimeoutError, Unfit: One cannot be reached or used.
        """

    async def close(self) -> None:
        """Let go of all."""


class LoneServer:
    """One server, fixed or found through sentinels."""

    def __init__(self, dialer: Dialer, make: MakeServer, on_change: Callable[[], None]) -> None:
        name = dialer.address.master or str(dialer.address.hosts[0])
        self._server = make(name, lambda: dial_found(dialer), on_change)

    def of(self, key: bytes) -> Server:
        return self._server

    def all(self) -> Sequence[Server]:
        return (self._server,)

    def moved(self, exc: MovedError) -> None:
        self._server.distrust("the server has become part of a cluster")

    async def start(self) -> None:
        await self._server.start()

    async def close(self) -> None:
        await self._server.close()


class ClusterServers:
    """The masters of a cluster and who of them serves which slot.

    The map is learnt at the start, corrected by every answer that says "moved", and asked for again after one, and every second
    while a master is away: then another node may have taken its slots over.
    """

    def __init__(
        self, dialer: Dialer, make: MakeServer, clock: Clock, on_change: Callable[[], None], *, timeout_s: float
    ) -> None:
        self._dialer, self._make, self._clock, self._timeout_s = dialer, make, clock, timeout_s
        self._tell = on_change
        self._hosts_by_slot: list[Host | None] = [None] * SLOTS
        self._servers: dict[Host, Server] = {}
        self._stale = asyncio.Event()
        self._refresher: asyncio.Task[None] | None = None
        self._closing: set[asyncio.Task[None]] = set()

    def of(self, key: bytes) -> Server:
        slot = key_slot(key)
        host = self._hosts_by_slot[slot]
        server = self._servers.get(host) if host is not None else None
        if server is None:
            self._stale.set()
            raise EngineUnavailable(f"no node of the cluster serves slot {slot}")
        return server

    def all(self) -> Sequence[Server]:
        return tuple(self._servers.values())

    def moved(self, exc: MovedError) -> None:
        if exc.host:
            host = Host(exc.host, exc.port)
            if host not in self._servers:
                self._add(host).begin()
            self._hosts_by_slot[exc.slot_id] = host
            self._tell()
        self._stale.set()

    def at(self, name: str, port: int) -> Server:
        """Give the server of a host, a new one where it is not known yet."""
        host = Host(name, port)
        if host not in self._servers:
            self._add(host).begin()
        return self._servers[host]

    async def start(self) -> None:
        async with asyncio.timeout(self._timeout_s):
            ranges = await find_slots(self._dialer, self._dialer.address.hosts)
        self._place(ranges)
        for server in self.all():
            await server.start()
        self._refresher = asyncio.get_running_loop().create_task(self._keep_fresh(), name="redis.slots")

    async def close(self) -> None:
        if self._refresher is not None:
            self._refresher.cancel()
            await asyncio.gather(self._refresher, return_exceptions=True)
        for server in self.all():
            await server.close()
        await asyncio.gather(*self._closing)
        self._servers.clear()

    def _add(self, host: Host) -> Server:
        server = self._servers[host] = self._make(str(host), lambda: dial(self._dialer, host), self._changed)
        return server

    def _changed(self) -> None:
        self._stale.set()
        self._tell()

    def _place(self, ranges: Sequence[SlotRange]) -> list[Server]:
        """Put masters on the map; returns those that are new. Who serves nothing any more is closed."""
        hosts: list[Host | None] = [None] * SLOTS
        for part in ranges:
            hosts[part.first : part.last + 1] = [part.master] * (part.last - part.first + 1)
        masters = {part.master for part in ranges}
        added = [self._add(host) for host in sorted(masters) if host not in self._servers]
        has_changed = bool(added) or hosts != self._hosts_by_slot
        self._hosts_by_slot = hosts
        for host in set(self._servers) - masters:
            task = asyncio.ensure_future(self._servers.pop(host).close())
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)
        if has_changed:
            self._tell()
        return added

    async def _keep_fresh(self) -> None:
        outage = Outage("redis cluster's slots", self._clock)
        while True:
            await self._stale.wait()
            self._stale.clear()
            try:
                async with asyncio.timeout(self._timeout_s):
                    ranges = await find_slots(self._dialer, [*self._servers, *self._dialer.address.hosts])
            except (RedisError, OSError, TimeoutError, Unfit) as exc:
                await self._clock.sleep(outage.failed(exc))
                self._stale.set()
                continue
            outage.ended()
            for server in self._place(ranges):
                server.begin()
            if not all(server.state.is_connected for server in self.all()):
                await self._clock.sleep(_REFRESH_S)
                self._stale.set()
