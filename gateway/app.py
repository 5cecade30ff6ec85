"""The HTTP side of a gateway process: one ASGI application, and the server that carries it and the WebSockets on one port."""

import asyncio
import contextlib
import functools
import socket
from collections.abc import Iterator, Sequence

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from config.settings import Settings
from gateway.api.endpoint import PREFIX, ApiEndpoint, Receive, Scope, Send
from gateway.health import health_routes
from gateway.metrics import metrics_route
from gateway.node import Node
from gateway.transports.handshake import PATH
from gateway.transports.http_bounds import BoundedHttp
from gateway.transports.routes import transport_routes
from gateway.transports.websocket import WebSocketConnection

__all__ = ["GatewayApp", "GatewayServer"]


class GatewayApp:
    """Routes `/api/` to the API without further ado, everything else through Starlette."""

    def __init__(self, settings: Settings, node: Node, api: ApiEndpoint, *, routes: Sequence[BaseRoute] = ()) -> None:
        self._api = api
        own: list[BaseRoute] = [Route(PATH, _upgrade_required), *transport_routes(settings, node)]
        if settings.health.enabled:
            own += health_routes(node.readiness)
        if settings.prometheus.enabled:
            own.append(metrics_route())
        # A few things below the API's prefix are pages as well; whatever else is there is a method, or nothing.
        self._page_paths = frozenset(
            route.path for route in routes if isinstance(route, Route) and route.path.startswith(PREFIX)
        )
        self._pages = Starlette(routes=[*own, *routes])

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"].startswith(PREFIX) and scope["path"] not in self._page_paths:
            await self._api(scope, receive, send)
        else:
            await self._pages(scope, receive, send)


class GatewayServer(uvicorn.Server):
    """uvicorn on a socket that is bound already, with our WebSocket class in place of its own. Signals stay with the caller."""

    def __init__(self, app: GatewayApp, node: Node) -> None:
        config = uvicorn.Config(
            app,
            ws=functools.partial(WebSocketConnection.of_uvicorn, node),  # type: ignore[arg-type]  # any callable serves
            http=functools.partial(BoundedHttp, node.wheel),  # type: ignore[arg-type]  # likewise
            lifespan="off",
            access_log=False,
            log_config=None,
            server_header=False,
            timeout_graceful_shutdown=2,
        )
        super().__init__(config)
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


async def _upgrade_required(_request: Request) -> Response:
    return PlainTextResponse("this address speaks WebSocket\n", status_code=426, headers={"Upgrade": "websocket"})
