"""uvicorn as we use it: on a socket that is bound already, without its own log, and with signals left to the process."""

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from typing import Any

import uvicorn

__all__ = ["HttpServer"]


class HttpServer(uvicorn.Server):
    """A server; `listening` is set when its port answers."""

    def __init__(self, app: Any, *, goodbye_s: int, **options: Any) -> None:
        """Make it; nothing listens yet.

        Args:
            app: An ASGI application.
            goodbye_s: How long requests that are under way at the end may take.
            options: Further ones of `uvicorn.Config`.
        """
        super().__init__(
            uvicorn.Config(
                app,
                lifespan="off",
                access_log=False,
                log_config=None,
                server_header=False,
                timeout_graceful_shutdown=goodbye_s,
                **options,
            )
        )
        self.listening = asyncio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def run_on(self, listener: socket.socket) -> None:
        """Serve until `should_exit` is set."""
        await self.serve(sockets=[listener])

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.listening.set()

    def stop_accepting(self) -> None:
        """Leave new connections to whoever else listens on the port, and serve those that there are."""
        for server in self.servers:
            server.close()
