"""A port for operators alone: health and metrics of a process that serves no clients, or shares its port with others."""

import socket

from starlette.applications import Starlette

from gateway.health import Readiness, health_routes
from gateway.metrics import metrics_route
from gateway.server import HttpServer
from gateway.tls import ServerTls
from gateway.web_headers import SecuredApp
from heliograph.ending import Ending

__all__ = ["OperationsPart"]


class OperationsPart:
    """Answers `/health`, `/health/ready` and `/metrics`. Stopped last, so that the end of the others can be watched."""

    def __init__(self, readiness: Readiness, listener: socket.socket, tls: ServerTls | None = None) -> None:
        app = SecuredApp(Starlette(routes=[*health_routes(readiness), metrics_route()]))
        self._listener = listener
        self._server = HttpServer(app, goodbye_s=1, tls=tls)
        self.started = self._server.listening

    async def run(self) -> None:
        await self._server.run_on(self._listener)

    async def stop(self, _ending: Ending) -> None:
        self._server.should_exit = True
