"""The paths of the HTTP transports that are switched on."""

from starlette.routing import BaseRoute, Route

from config.settings import Settings
from gateway.node import Node
from gateway.transports.http import EmulationEndpoint, http_stream_endpoint, sse_endpoint, uni_endpoint

__all__ = ["transport_routes"]


def transport_routes(settings: Settings, node: Node) -> list[BaseRoute]:
    """Make the routes; `/emulation` is there as soon as a transport needs it."""
    routes: list[BaseRoute] = []
    if settings.sse.enabled:
        routes.append(Route("/connection/sse", sse_endpoint(node)))
    if settings.http_stream.enabled:
        routes.append(Route("/connection/http_stream", http_stream_endpoint(node)))
    if settings.sse.enabled or settings.http_stream.enabled:
        routes.append(Route("/emulation", EmulationEndpoint(node)))
    if settings.uni_sse.enabled:
        routes.append(Route("/connection/uni_sse", uni_endpoint(node, is_events=True)))
    if settings.uni_http_stream.enabled:
        routes.append(Route("/connection/uni_http_stream", uni_endpoint(node, is_events=False)))
    return routes
