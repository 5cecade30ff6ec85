"""The HTTP side of a gateway process: one ASGI application, and the server that carries it and the WebSockets on one port."""

import functools
from collections.abc import Sequence

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from config.settings import Settings
from gateway.api.endpoint import PREFIX, ApiEndpoint, Receive, Scope, Send
from gateway.door_http import GuardedApp
from gateway.health import health_routes
from gateway.health_detail import HealthDetail, health_detail_route
from gateway.metrics import metrics_route
from gateway.node import Node
from gateway.server import HttpServer
from gateway.tls import ServerTls
from gateway.transports.handshake import PATH
from gateway.transports.http_bounds import BoundedHttp
from gateway.transports.routes import transport_routes
from gateway.transports.websocket import WebSocketConnection
from gateway.web_headers import SecuredApp

__all__ = ["GatewayApp", "GatewayServer"]


class GatewayApp:
    """Routes `/api/` to the API without further ado, everything else through Starlette."""

    def __init__(
        self,
        settings: Settings,
        node: Node,
        api: ApiEndpoint,
        *,
        routes: Sequence[BaseRoute] = (),
        detail: HealthDetail | None = None,
    ) -> None:
        self._api = api
        own: list[BaseRoute] = [Route(PATH, _upgrade_required), *transport_routes(settings, node)]
        if settings.health.enabled:
            own += health_routes(node.readiness)
            if detail is not None:
                own.append(health_detail_route(detail, lambda request: api.may_ask(request.scope, "info")))
        if settings.prometheus.enabled:
            own.append(metrics_route())
        # A few things below the API's prefix are pages as well; whatever else is there is a method, or nothing.
        self._page_paths = frozenset(
            route.path for route in routes if isinstance(route, Route) and route.path.startswith(PREFIX)
        )
        self.routes = [*own, *routes]
        self._pages = SecuredApp(Starlette(routes=self.routes))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"].startswith(PREFIX) and scope["path"] not in self._page_paths:
            await self._api(scope, receive, send)
        else:
            await self._pages(scope, receive, send)


class GatewayServer(HttpServer):
    """The server of clients and the API, with our WebSocket class in place of uvicorn's own."""

    def __init__(self, app: GatewayApp, node: Node, tls: ServerTls | None = None) -> None:
        super().__init__(
            app if node.door is None else GuardedApp(app, node.door, node.settings.client.allowed_origins),
            goodbye_s=2,
            tls=tls,
            ws=functools.partial(WebSocketConnection.of_uvicorn, node),
            http=functools.partial(BoundedHttp, node.wheel, node.addresses),
        )


async def _upgrade_required(_request: Request) -> Response:
    return PlainTextResponse("this address speaks WebSocket\n", status_code=426, headers={"Upgrade": "websocket"})
