"""A port for operators alone: health and metrics of a process that serves no clients, or shares its port with others."""

import socket

from starlette.applications import Starlette

from gateway.health import Readiness, health_routes
from gateway.health_detail import HealthDetail, health_detail_route
from gateway.metrics import metrics_route
from gateway.server import HttpServer
from gateway.tls import ServerTls
from gateway.web_headers import SecuredApp
from heliograph.admin import Admin
from heliograph.ending import Ending

__all__ = ["OperationsPart"]


class OperationsPart:
    """Answers `/health`, `/health/ready`, `/health/detail` and `/metrics`. Stopped last: the end of others is watched here."""

    def __init__(
        self,
        readiness: Readiness,
        listener: socket.socket,
        tls: ServerTls | None,
        detail: HealthDetail,
        admin: Admin | None = None,
    ) -> None:
        """Make it; with `admin` the operator's page is served here, and its live connections."""
        pages = [] if admin is None else admin.routes
        app = SecuredApp(Starlette(routes=[*health_routes(readiness), health_detail_route(detail), metrics_route(), *pages]))
        self._listener = listener
        options = {} if admin is None else admin.server_options
        self._server = HttpServer(app, goodbye_s=1, tls=tls, **options)
        self.started = self._server.listening

    async def run(self) -> None:
        await self._server.run_on(self._listener)

    async def stop(self, _ending: Ending) -> None:
        self._server.should_exit = True
