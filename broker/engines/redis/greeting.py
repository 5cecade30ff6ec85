"""What a server must be before it is used: of the right kind, new enough, a master. And why a start failed, in one line."""

import ssl
from collections.abc import Mapping
from typing import Final

from redis import exceptions
from redis.asyncio.connection import AbstractConnection

from broker.engines.redis.address import Address
from broker.engines.redis.dialer import ask
from broker.engines.redis.failures import reason_of

__all__ = ["Unfit", "check_info", "explain", "greet"]

# Redis 6.2 has the options that the scripts use; sharded pub/sub came with 7.0. Valkey 8 calls itself Redis 7.2.
_OLDEST: Final = (6, 2)
_OLDEST_CLUSTER: Final = (7, 0)


class Unfit(Exception):
    """A server that answers, but cannot serve; the text says what is wrong and what to do."""


async def greet(connection: AbstractConnection, address: Address, *, may_be_replica: bool = False) -> None:
    """Look at a server that a connection was opened to.

    Raises:
        Unfit: It is not what the address says, too old, or a replica.
        redis.exceptions.RedisError, OSError: It does not answer, or not with what was asked for.
    """
    info: dict[str, str] = {}
    for section in ("server", "replication", "cluster"):
        text: bytes = await ask(connection, "INFO", section)
        lines = text.decode("utf-8", "replace").splitlines()
        info.update((name, value) for name, found, value in (line.partition(":") for line in lines) if found)
    check_info({**info, "role": "master"} if may_be_replica else info, address)


def check_info(info: Mapping[str, str], address: Address) -> None:
    """Judge what a server says of itself in INFO.

    Raises:
        Unfit: See `greet`.
    """
    is_cluster = address.topology == "cluster"
    if (info.get("cluster_enabled") == "1") != is_cluster:
        raise Unfit(
            "the server is not part of a cluster; begin the address with redis:// (or rediss://)"
            if is_cluster
            else "the server is part of a cluster; begin the address with redis+cluster:// (or rediss+cluster://)"
        )
    version = info.get("redis_version", "0")
    oldest = _OLDEST_CLUSTER if is_cluster else _OLDEST
    if tuple(int(part) for part in version.split(".")[:2] if part.isdigit()) < oldest:
        feature = " (a cluster needs its sharded pub/sub)" if is_cluster else ""
        raise Unfit(
            f"the server is Redis {version}, which is too old; it must be Redis {oldest[0]}.{oldest[1]} or later{feature}, "
            "or Valkey 8 or later"
        )
    if info.get("role") != "master":
        raise Unfit("the server is a replica, which cannot be written to; name its master, or use redis+sentinel://")


def explain(exc: BaseException, address: Address, *, timeout_s: float) -> str:
    """Say in a line why Redis cannot be used, and what to do; for the start, so it names the setting."""
    where = ", ".join(map(str, address.hosts))
    if isinstance(exc, Unfit):
        return f"broker.url: {where}: {exc}"
    if isinstance(exc, TimeoutError | exceptions.TimeoutError):
        return (
            f"broker.url: {where} does not answer within {timeout_s:g} s (broker.connect_timeout); check the address, "
            f"firewalls, and whether the server hangs{' or speaks no TLS' if address.uses_tls else ''}"
        )
    if isinstance(exc, exceptions.AuthenticationError | exceptions.AuthenticationWrongNumberOfArgsError):
        return f"broker.url: {where} refuses the login ({reason_of(exc)}); check user and password in the address"
    if isinstance(exc, exceptions.BusyLoadingError):
        return f"broker.url: {where} is still loading its data; start again when it has"
    if isinstance(exc, exceptions.NoPermissionError) or "NOPERM" in str(exc) or "ACL failure" in str(exc):
        return (
            f"broker.url: the user {address.username or 'default'!r} may not do what is needed ({reason_of(exc)}); grant it "
            f"~{address.prefix}:* &{address.prefix}:* +@all -@admin -@dangerous +info"
        )
    if isinstance(exc, exceptions.ResponseError):
        return f"broker.url: {where} refuses what is needed ({reason_of(exc)})"
    if isinstance(exc.__context__, ssl.SSLError) or "SSL" in str(exc):
        return f"broker.url: no TLS connection to {where} ({reason_of(exc)}); check rediss:// and broker.ca_file"
    hint = "" if address.uses_tls else "; if it speaks TLS, write rediss://"
    return f"broker.url: cannot reach {where} ({reason_of(exc)}); check the address and whether the server runs{hint}"
