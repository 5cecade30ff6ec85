"""`POST /auth/refresh` and `POST /auth/revoke`, which clients call themselves.

Nothing here rests on what a browser sends along by itself: no cookie is read or set, and the refresh token stands in a JSON
body, so that a page of another origin has nothing to misuse. The content type is demanded, which makes browsers ask first
(preflight); pages of origins in `client.allowed_origins` may read the answer. No answer is kept by anybody (`no-store`), and
all reasons for which a token gives nothing look the same.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated, Final

import msgspec
from msgspec import Meta
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from broker.caller import Actor, ActorKind, Caller, bind_caller
from broker.errors import Unavailable
from config.logs import get_logger
from gateway.issuing.service import Pair, RefreshRefused, TokenService
from gateway.origins import is_origin_allowed
from gateway.web_headers import page_headers

__all__ = ["issuing_routes"]

_log = get_logger()

_BODY_MAX_BYTES: Final = 1024
_HEADERS: Final = {**page_headers(cache="no-store"), "Pragma": "no-cache", "Vary": "Origin"}
_METHODS: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


class _Body(msgspec.Struct, forbid_unknown_fields=True):
    refresh_token: Annotated[str, Meta(max_length=256)]


class _PairBody(msgspec.Struct):
    access_token: str
    token_type: str
    expires_in: int
    refresh_token: str
    refresh_expires_in: int


class _ErrorBody(msgspec.Struct):
    code: int
    message: str


class _Failure(msgspec.Struct):
    error: _ErrorBody


class _Refusal(Exception):
    """The request is answered with this status."""

    def __init__(self, status: int, code: int, message: str) -> None:
        super().__init__(message)
        self.status, self.body = status, _Failure(_ErrorBody(code, message))


_decoder = msgspec.json.Decoder(_Body)
Act = Callable[[str], Awaitable[msgspec.Struct]]


def issuing_routes(service: TokenService, allowed_origins: Sequence[str]) -> list[Route]:
    """Make the routes."""

    async def refresh(token: str) -> msgspec.Struct:
        return _pair_body(await service.refresh(token))

    async def revoke(token: str) -> msgspec.Struct:
        await service.revoke(token)
        return _Empty()

    return [
        Route(f"/auth/{name}", _Endpoint(name, act, allowed_origins).answer, methods=_METHODS)
        for name, act in (("refresh", refresh), ("revoke", revoke))
    ]


class _Empty(msgspec.Struct):
    pass


class _Endpoint:
    def __init__(self, name: str, act: Act, allowed_origins: Sequence[str]) -> None:
        self._name, self._act, self._allowed_origins = name, act, allowed_origins

    async def answer(self, request: Request) -> Response:
        """Answer one request."""
        origin = request.headers.get("origin", "")
        if not is_origin_allowed(origin, self._allowed_origins):
            return _response(403, _Failure(_ErrorBody(103, "permission denied: the page's origin is not allowed")))
        address = request.client.host if request.client else ""
        bind_caller(Caller(Actor(ActorKind.UNKNOWN), address, "auth"))
        cors = {"Access-Control-Allow-Origin": origin} if origin else {}
        if request.method == "OPTIONS":
            return _response(204, None, cors | _PREFLIGHT)
        try:
            return _response(200, await self._act(await _token_of(request)), cors)
        except _Refusal as exc:
            return _response(exc.status, exc.body, cors | ({"Allow": "POST, OPTIONS"} if exc.status == 405 else {}))
        except RefreshRefused as exc:
            _log.info("refresh_token.refused", reason=str(exc))
            return _response(401, _Failure(_ErrorBody(101, "unauthorized: log in again")), cors)
        except Unavailable as exc:
            _log.warning("auth.unavailable", path=self._name)
            retry = {"Retry-After": str(max(1, round(exc.retry_after_s)))}
            return _response(503, _Failure(_ErrorBody(100, "try again with the same token")), cors | retry)


_PREFLIGHT: Final = {
    "Access-Control-Allow-Methods": "POST, OPTIONS",
    "Access-Control-Allow-Headers": "content-type",
    "Access-Control-Max-Age": "300",
}


async def _token_of(request: Request) -> str:
    if request.method != "POST":
        raise _Refusal(405, 107, "bad request: use POST")
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise _Refusal(415, 107, "bad request: the content type must be application/json")
    body = bytearray()
    try:
        async for part in request.stream():
            body += part
            if len(body) > _BODY_MAX_BYTES:
                raise _Refusal(413, 107, f"bad request: the body must be at most {_BODY_MAX_BYTES} bytes")
    except ClientDisconnect:
        raise _Refusal(400, 107, "bad request: the body ended early") from None
    try:
        return _decoder.decode(body).refresh_token
    except (msgspec.MsgspecError, ValueError, RecursionError):
        raise _Refusal(400, 107, 'bad request: the body must be {"refresh_token": "…"}') from None


def _pair_body(pair: Pair) -> _PairBody:
    return _PairBody(pair.access_token, "Bearer", int(pair.access_s), pair.refresh_token, int(pair.refresh_s))


def _response(status: int, body: msgspec.Struct | None, headers: dict[str, str] | None = None) -> Response:
    content = b"" if body is None else msgspec.json.encode(body)
    return Response(content, status, {**_HEADERS, **(headers or {})}, "application/json" if content else None)
