"""A port for operators alone: health and metrics of a process that serves no clients, or shares its port with others."""

import asyncio
import contextlib
import socket
from collections.abc import Iterator

import uvicorn
from starlette.applications import Starlette

from gateway.health import Readiness, health_routes
from gateway.metrics import metrics_route
from heliograph.ending import Ending

__all__ = ["OperationsPart"]


class OperationsPart:
    """Answers `/health`, `/health/ready` and `/metrics`. Stopped last, so that the end of the others can be watched."""

    def __init__(self, readiness: Readiness, listener: socket.socket) -> None:
        app = Starlette(routes=[*health_routes(readiness), metrics_route()])
        config = uvicorn.Config(
            app, lifespan="off", access_log=False, log_config=None, server_header=False, timeout_graceful_shutdown=1
        )
        self._listener = listener
        self._server = _Server(config)
        self.started = self._server.listening

    async def run(self) -> None:
        await self._server.serve(sockets=[self._listener])

    async def stop(self, _ending: Ending) -> None:
        self._server.should_exit = True


class _Server(uvicorn.Server):
    """uvicorn, whose signals stay with the process."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening = asyncio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.listening.set()
