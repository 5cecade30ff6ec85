"""Where the description is served: `/api/openapi.json` and the page `/api/docs`, both without a key: they hold no secret."""

from importlib import resources
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.api.endpoint import PREFIX
from gateway.api.method import Methods
from gateway.openapi.document import openapi_document
from gateway.web_headers import page_headers

__all__ = ["openapi_routes"]

_PAGE: Final = f"{PREFIX}docs"
# Path → file, and its type. The page names the others relative to itself.
_FILES: Final = {
    _PAGE: ("docs.html", "text/html; charset=utf-8"),
    f"{_PAGE}/docs.css": ("docs.css", "text/css; charset=utf-8"),
    f"{_PAGE}/docs.js": ("docs.js", "text/javascript; charset=utf-8"),
    f"{_PAGE}/schema.js": ("schema.js", "text/javascript; charset=utf-8"),
}
_HEADERS: Final = page_headers(script="'self'", style="'self'", img="data:", connect="'self'")


def openapi_routes(methods: Methods, *, version: str) -> list[Route]:
    """Make the routes. Reads the page's files, so it blocks: call it before serving."""
    # Anybody may read the document from anywhere, so that tools on other origins can.
    document_headers = page_headers() | {"Access-Control-Allow-Origin": "*", "Cross-Origin-Resource-Policy": "cross-origin"}
    document = openapi_document(methods, version=version)
    routes = [_route(f"{PREFIX}openapi.json", document, "application/json", document_headers)]
    folder = resources.files(__package__).joinpath("static")
    for path, (name, content_type) in _FILES.items():
        routes.append(_route(path, folder.joinpath(name).read_bytes(), content_type, _HEADERS))
    return routes


def _route(path: str, body: bytes, content_type: str, headers: dict[str, str]) -> Route:
    async def serve(_request: Request) -> Response:
        return Response(body, headers={**headers, "Content-Type": content_type})

    return Route(path, serve, methods=["GET"])
