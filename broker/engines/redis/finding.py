"""Where the servers are: at the address itself, where the sentinels say, or where the nodes of a cluster say."""

import asyncio
from collections.abc import Awaitable, Iterable, Sequence
from typing import Any, Final, TypeVar

import msgspec
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import RedisError

from broker.engines.redis.address import Host
from broker.engines.redis.dialer import Dialer, ask
from broker.engines.redis.greeting import Unfit, greet

__all__ = ["SLOTS", "SlotRange", "dial", "dial_found", "find_slots", "read_slots"]

SLOTS: Final = 16384

T = TypeVar("T")


class SlotRange(msgspec.Struct, frozen=True):
    """Slots from `first` to `last`, both counted, and their master."""

    first: int
    last: int
    master: Host


async def dial_found(dialer: Dialer) -> AbstractConnection:
    """Open a connection to the one server, or to the master that the sentinels name now.

    Raises:
        redis.exceptions.RedisError, OSError, Unfit: None could be found or opened.
    """
    address = dialer.address
    host = address.hosts[0]
    if address.topology == "sentinel":
        host = await _first(_ask_sentinel(dialer, sentinel) for sentinel in address.hosts)
    return await dial(dialer, host)


async def dial(dialer: Dialer, host: Host, *, may_be_replica: bool = False) -> AbstractConnection:
    """Open a connection to a server and look whether it is fit.

    Args:
        may_be_replica: A replica does as well; in a cluster it knows who serves what.
    Raises:
        redis.exceptions.RedisError, OSError, Unfit: It could not be opened, or is not fit.
    """
    connection = await dialer.open(host)
    try:
        await greet(connection, dialer.address, may_be_replica=may_be_replica)
    except BaseException:
        await connection.disconnect(nowait=True)
        raise
    return connection


async def find_slots(dialer: Dialer, hosts: Sequence[Host]) -> Sequence[SlotRange]:
    """Ask the nodes of a cluster who serves which slots; the first answer counts.

    Raises:
        redis.exceptions.RedisError, OSError, Unfit: No node could tell.
    """
    return await _first(_ask_node(dialer, host) for host in hosts)


def read_slots(answer: Any, asked: Host) -> Sequence[SlotRange]:
    """Read what CLUSTER SLOTS answers: per range its ends, its master and its replicas. A node that does not know its own name
    leaves it empty, and means the one that it was asked by."""
    ranges = []
    for first, last, master, *_ in answer:
        name = (master[0] or b"").decode()
        ranges.append(SlotRange(first, last, Host(asked.name if name in ("", "?") else name, master[1])))
    return ranges


async def _ask_sentinel(dialer: Dialer, sentinel: Host) -> Host:
    master = dialer.address.master
    connection = await dialer.open_sentinel(sentinel)
    try:
        found = await ask(connection, "SENTINEL", "GET-MASTER-ADDR-BY-NAME", master)
    finally:
        await connection.disconnect(nowait=True)
    if not found:
        raise Unfit(f"the sentinel watches no master called {master!r}; check the name behind the hosts")
    return Host(found[0].decode(), int(found[1]))


async def _ask_node(dialer: Dialer, host: Host) -> Sequence[SlotRange]:
    connection = await dial(dialer, host, may_be_replica=True)
    try:
        ranges = read_slots(await ask(connection, "CLUSTER", "SLOTS"), host)
    finally:
        await connection.disconnect(nowait=True)
    if not ranges:
        raise Unfit("the node serves no slots and knows of none that are served; has the cluster been created?")
    return ranges


async def _first(attempts: Iterable[Awaitable[T]]) -> T:
    """Make all attempts at once and take the first that succeeds; where none does, the error of the first one is raised."""
    tasks = [asyncio.ensure_future(attempt) for attempt in attempts]
    try:
        for finished in asyncio.as_completed(tasks):
            try:
                return await finished
            except (RedisError, OSError, Unfit):
                continue
        return tasks[0].result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
