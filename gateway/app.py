"""The HTTP side of a gateway process: one ASGI application, and the server that carries it and the WebSockets on one port."""

import contextlib
import functools
import socket
from collections.abc import Iterator, Sequence

import uvicorn
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, generate_latest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from config.settings import Settings
from gateway.api.endpoint import PREFIX, ApiEndpoint, Receive, Scope, Send
from gateway.node import Node
from gateway.transports.handshake import PATH
from gateway.transports.http_bounds import BoundedHttp
from gateway.transports.routes import transport_routes
from gateway.transports.websocket import WebSocketConnection

__all__ = ["GatewayApp", "GatewayServer"]


class GatewayApp:
    """Routes `/api/` to the API without further ado, everything else through Starlette."""

    def __init__(self, settings: Settings, node: Node, api: ApiEndpoint, *, routes: Sequence[BaseRoute] = ()) -> None:
        self._node, self._api = node, api
        own: list[BaseRoute] = [Route(PATH, _upgrade_required), *transport_routes(settings, node)]
        if settings.health.enabled:
            own.append(Route("/health", self._health))
            own.append(Route("/health/ready", self._ready))
        if settings.prometheus.enabled:
            own.append(Route("/metrics", _metrics))
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

    async def _health(self, _request: Request) -> Response:
        """Tell that this process lives; until its end has begun, so that nobody waits for it."""
        return JSONResponse({}, status_code=503 if self._node.is_draining else 200)

    async def _ready(self, _request: Request) -> Response:
        """Tell whether clients should be sent here, and what speaks against it."""
        reasons = self._node.readiness.reasons()
        return JSONResponse({"reasons": reasons}, status_code=503) if reasons else JSONResponse({})


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

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def run_on(self, listener: socket.socket) -> None:
        """Serve until `should_exit` is set."""
        await self.serve(sockets=[listener])


async def _upgrade_required(_request: Request) -> Response:
    return PlainTextResponse("this address speaks WebSocket\n", status_code=426, headers={"Upgrade": "websocket"})


async def _metrics(_request: Request) -> Response:
    return Response(generate_latest(REGISTRY), media_type=CONTENT_TYPE_LATEST)
