"""The routes of development mode: the page at `/`, its files, and the few questions it may ask under `/dev/`.

They exist only where the composition root mounts them; elsewhere their paths answer 404 like any unknown one. All of
them hand out secrets of the development server, so all refuse a `Host` that is not loopback (`gateway.demo.loopback`).
"""

from collections.abc import Awaitable, Callable
from typing import Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.demo.loopback import is_loopback_host
from gateway.demo.page import headers_at, read_page_files
from gateway.web_headers import page_headers

__all__ = ["DemoContext", "demo_routes"]

_INDEX: Final = "index.html"
_BODY_LIMIT_BYTES: Final = 4096
_NAME_LIMIT: Final = 64
_BAD_REQUEST: Final = 107

_Endpoint = Callable[[Request], Awaitable[Response]]


class DemoContext(msgspec.Struct, frozen=True):
    """What the page may ask of the running server, handed in by the composition root.

    Attributes:
        api_key: The development key of the HTTP API.
        make_token: Makes a connection token (a JWT) for a user id.
        outbox: Tells, as the JSON `{"items": […]}`, what the simulators received, oldest first; of one notification or of all.
        mint_subscription: Makes a browser's push subscription at the simulated push service, as its JSON; the same one for
            the same name, and that of a new browser for none.
    """

    api_key: str
    make_token: Callable[[str], str]
    outbox: Callable[[str | None], Awaitable[bytes]]
    mint_subscription: Callable[[str], Awaitable[bytes]]


class _TokenRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    user: str


def demo_routes(context: DemoContext) -> list[Route]:
    """Make the routes of development mode. Reads the page's files, so it blocks: call it before serving."""
    files = read_page_files()

    async def page_file(request: Request) -> Response:
        found = files.get(request.path_params.get("name", _INDEX))
        if found is None:
            return Response("not found", 404, media_type="text/plain")
        return Response(found.body, headers=headers_at(request.headers["host"]) | {"Content-Type": found.content_type})

    async def session(request: Request) -> Response:
        return _json(msgspec.json.encode({"api_key": context.api_key}))

    async def token(request: Request) -> Response:
        try:
            asked = msgspec.json.decode(await _bounded_body(request), type=_TokenRequest)
        except (msgspec.DecodeError, UnicodeDecodeError, _BodyTooLargeError) as exc:
            return _bad_request(f"body: {exc}")
        if not 1 <= len(asked.user) <= 255:
            return _bad_request("user: must have 1 to 255 characters")
        return _json(msgspec.json.encode({"token": context.make_token(asked.user)}))

    async def outbox(request: Request) -> Response:
        return _json(await context.outbox(request.query_params.get("notification_id")))

    async def webpush(request: Request) -> Response:
        name = request.query_params.get("name", "")
        if len(name) > _NAME_LIMIT:
            return _bad_request(f"name: must have at most {_NAME_LIMIT} characters")
        return _json(await context.mint_subscription(name))

    return [
        Route("/", _loopback_only(page_file), methods=["GET"]),
        Route("/demo/{name}", _loopback_only(page_file), methods=["GET"]),
        Route("/dev/session", _loopback_only(session), methods=["GET"]),
        Route("/dev/token", _loopback_only(token), methods=["POST"]),
        Route("/dev/outbox", _loopback_only(outbox), methods=["GET"]),
        Route("/dev/webpush", _loopback_only(webpush), methods=["POST"]),
    ]


def _loopback_only(endpoint: _Endpoint) -> _Endpoint:
    async def guarded(request: Request) -> Response:
        if not is_loopback_host(request.headers.get("host", "")):
            return Response("development pages answer only to localhost", 403, media_type="text/plain")
        return await endpoint(request)

    return guarded


class _BodyTooLargeError(Exception):
    def __init__(self) -> None:
        super().__init__(f"must have at most {_BODY_LIMIT_BYTES} bytes")


async def _bounded_body(request: Request) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > _BODY_LIMIT_BYTES:
            raise _BodyTooLargeError
    return bytes(body)


def _json(body: bytes, status: int = 200) -> Response:
    # Holds keys and tokens: nothing between us and the page may keep it, no other origin may embed it (`gateway.web_headers`).
    return Response(body, status, headers=page_headers(cache="no-store"), media_type="application/json")


def _bad_request(message: str) -> Response:
    return _json(msgspec.json.encode({"error": {"code": _BAD_REQUEST, "message": message}}), 400)
