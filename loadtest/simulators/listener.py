"""Listening with TLS: which protocol a connection speaks is settled by ALPN, and all connections end with their listener."""

import asyncio
import ssl
from collections.abc import Coroutine
from typing import Any, cast

from config.clock import Clock
from loadtest.simulators.exchange import Handler
from loadtest.simulators.http1 import Http1Protocol
from loadtest.simulators.http2 import Http2Protocol, peer_of

__all__ = ["Listener"]


class Listener:
    """One HTTPS port on loopback that answers by a handler.

    Args:
        streams: How many concurrent HTTP/2 streams a connection is granted.
        needs_authorisation: Grant one stream only until a reply is authorised, as APNs does; a certificate is enough, too.
        speaks_http1: Whether callers without HTTP/2 are served too.
    """

    def __init__(
        self,
        handler: Handler,
        clock: Clock,
        *,
        streams: int = 1000,
        needs_authorisation: bool = False,
        speaks_http1: bool = True,
    ) -> None:
        self._handler = handler
        self._clock = clock
        self._streams = streams
        self._needs_authorisation = needs_authorisation
        self._speaks_http1 = speaks_http1
        self._server: asyncio.Server
        self._transports: set[asyncio.Transport] = set()
        self._delayed: set[asyncio.Task[None]] = set()

    @property
    def port(self) -> int:
        """The port listened on."""
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def open(self, port: int, context: ssl.SSLContext) -> None:
        """Start listening; 0 takes a free port.

        Raises:
            OSError: The port is taken.
        """
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Negotiation(self), "127.0.0.1", port, ssl=context, backlog=1024)

    async def close(self) -> None:
        """Stop listening and drop every connection, with the answers that were still to come."""
        self._server.close()
        for transport in list(self._transports):
            transport.abort()
        for task in self._delayed:
            task.cancel()
        await asyncio.gather(*self._delayed, return_exceptions=True)
        await self._server.wait_closed()

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run a delayed answer; it ends with the listener at the latest."""
        task = asyncio.get_running_loop().create_task(work, name="simulator:delayed")
        self._delayed.add(task)
        task.add_done_callback(self._delayed.discard)

    def adopt(self, transport: asyncio.Transport) -> asyncio.Protocol | None:
        """Choose the protocol of a new connection; None where there is none to offer."""
        self._transports.add(transport)
        if transport.get_extra_info("ssl_object").selected_alpn_protocol() == "h2":
            is_open = not self._needs_authorisation or bool(peer_of(transport))
            return Http2Protocol(self._handler, self._clock, self.spawn, streams=self._streams, is_open=is_open)
        return Http1Protocol(self._handler, self._clock, self.spawn) if self._speaks_http1 else None

    def release(self, transport: asyncio.Transport) -> None:
        """Forget a connection that has ended."""
        self._transports.discard(transport)


class _Negotiation(asyncio.Protocol):
    """Stands in until the handshake has told the protocol, then passes every callback on to it."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._protocol: asyncio.Protocol | None = None
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's has the methods, not the class
        self._protocol = self._listener.adopt(self._transport)
        if self._protocol is None:
            self._transport.abort()
            return
        self._protocol.connection_made(transport)

    def data_received(self, data: bytes) -> None:
        if self._protocol is not None:
            self._protocol.data_received(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self._listener.release(self._transport)
        if self._protocol is not None:
            self._protocol.connection_lost(exc)

    def pause_writing(self) -> None:
        if self._protocol is not None:
            self._protocol.pause_writing()

    def resume_writing(self) -> None:
        if self._protocol is not None:
            self._protocol.resume_writing()
