"""Opens connections to Redis: address, TLS, login and database are the client library's, the bounds are ours."""

import math
from typing import Any

from redis.asyncio.connection import AbstractConnection, Connection, SSLConnection, UnixDomainSocketConnection

from broker.engines.redis.address import Address, Host
from config.settings import BrokerSettings

__all__ = ["Dialer", "ask"]


class Dialer:
    """Knows everything about a connection but where it leads. Whoever calls it bounds the time."""

    def __init__(self, address: Address, settings: BrokerSettings) -> None:
        self.address = address
        self._options: dict[str, Any] = {
            # Reads wait as long as it takes: answers are watched by whoever asked.
            "socket_timeout": None,
            "socket_connect_timeout": settings.connect_timeout,
            "protocol": 2,
            "driver_info": None,
        }
        self._tls: dict[str, Any] = {}
        if address.uses_tls:
            self._tls = {
                "ssl_ca_certs": settings.ca_file or None,
                "ssl_certfile": settings.cert_file or None,
                "ssl_keyfile": settings.key_file or None,
            }
        self._login = _login(address.username, address.password)
        self._sentinel_login = _login(settings.sentinel_username, settings.sentinel_password.get_secret_value())

    async def open(self, host: Host) -> AbstractConnection:
        """Open a connection to a server, logged in.

        Raises:
            redis.exceptions.RedisError, OSError: It cannot be opened.
        """
        return await self._open(host, {**self._login, "db": self.address.db})

    async def open_sentinel(self, host: Host) -> AbstractConnection:
        """Open a connection to a sentinel, which has a login of its own."""
        return await self._open(host, self._sentinel_login)

    async def _open(self, host: Host, login: dict[str, Any]) -> AbstractConnection:
        connection: AbstractConnection
        if not host.port:
            connection = UnixDomainSocketConnection(path=host.name, **self._options, **login)
        elif self.address.uses_tls:
            connection = SSLConnection(host=host.name, port=host.port, **self._options, **self._tls, **login)
        else:
            connection = Connection(host=host.name, port=host.port, **self._options, **login)
        try:
            await connection.connect()  # type: ignore[no-untyped-call]  # the library leaves it untyped
        except BaseException:
            await connection.disconnect(nowait=True)
            raise
        return connection


async def ask(connection: AbstractConnection, *command: str | bytes) -> Any:
    """Send one command and read its answer, on a connection that nobody else uses yet."""
    await connection.send_command(*command, check_health=False)
    return await connection.read_response(timeout=math.inf)


def _login(username: str, password: str) -> dict[str, Any]:
    return {"username": username or None, "password": password or None}
