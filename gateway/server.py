"""uvicorn as we use it: on a socket that is bound already, without its own log, and with signals left to the process."""

import asyncio
import contextlib
import socket
from collections.abc import Callable, Iterator
from typing import Any, Final

import uvicorn

from gateway.tls import ServerTls

__all__ = ["HttpServer"]

_HANDSHAKE_S: Final = 10.0  # as patient as with the head of a request
_GOODBYE_S: Final = 5.0
_LATE_S: Final = 1.0
_LOOK_S: Final = 0.01


class HttpServer(uvicorn.Server):
    """A server; `listening` is set when its port answers."""

    def __init__(self, app: Any, *, goodbye_s: int, tls: ServerTls | None = None, **options: Any) -> None:
        """Make it; nothing listens yet.

        Args:
            app: An ASGI application.
            goodbye_s: How long requests that are under way at the end may take.
            tls: What it shows to those who connect; None for no TLS.
            options: Further ones of `uvicorn.Config`.
        """
        self._ending = asyncio.Event()
        super().__init__(
            uvicorn.Config(
                app,
                lifespan="off",
                access_log=False,
                log_config=None,
                server_header=False,
                proxy_headers=False,  # it believes whoever is on this machine, and WebSockets never pass there
                timeout_graceful_shutdown=goodbye_s,
                headers=[] if tls is None else tls.headers,
                **options,
            )
        )
        self._tls = tls
        self.listening = asyncio.Event()

    @property
    def should_exit(self) -> bool:
        """Whether it ends; once set, it does so at once."""
        return self._ending.is_set()

    @should_exit.setter
    def should_exit(self, value: bool) -> None:
        if value:
            self._ending.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def run_on(self, listener: socket.socket) -> None:
        """Serve until `should_exit` is set."""
        await self.serve(sockets=[listener])

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen. In place of uvicorn's own, which has no say about how long a TLS handshake may take."""
        assert sockets, "we bind before we start"
        await self.lifespan.startup()
        config, loop = self.config, asyncio.get_running_loop()
        options: dict[str, Any] = {}
        if self._tls is not None:
            options = {"ssl": self._tls.context, "ssl_handshake_timeout": _HANDSHAKE_S, "ssl_shutdown_timeout": _GOODBYE_S}

        def make_protocol() -> asyncio.Protocol:
            made: asyncio.Protocol = config.http_protocol_class(  # type: ignore[call-arg]  # uvicorn's has these
                config=config, server_state=self.server_state, app_state={}
            )
            return made

        self.servers = [
            await loop.create_server(make_protocol, sock=each, backlog=config.backlog, **options) for each in sockets
        ]
        self.started = True
        self.listening.set()

    async def main_loop(self) -> None:
        """Keep the `Date` of responses until the end. In place of uvicorn's own, which looks for the end ten times a second."""
        while not await self.on_tick(0):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(1):
                    await self._ending.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Let requests that are under way finish. In place of uvicorn's own, which waits by tenths of a second."""
        self.stop_accepting()
        for each in sockets or ():
            each.close()
        state, goodbye_s = self.server_state, self.config.timeout_graceful_shutdown
        # Who was let in a moment ago and has asked for nothing yet is about to: closed now, its request would be lost.
        await _until(lambda: all(getattr(one, "cycle", one) is not None for one in state.connections), _LATE_S)
        for connection in tuple(state.connections):
            connection.shutdown()
        await _until(lambda: not (state.connections or state.tasks), goodbye_s)
        for task in tuple(state.tasks):
            task.cancel()

    def stop_accepting(self) -> None:
        """Leave new connections to whoever else listens on the port, and serve those that there are."""
        for server in self.servers:
            server.close()


async def _until(fact: Callable[[], bool], limit_s: float | None) -> None:
    """Wait for a fact that uvicorn tells nobody of, or until the time is over."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(limit_s):
            while not fact():  # noqa: ASYNC110 (there is no event to wait for)
                await asyncio.sleep(_LOOK_S)
