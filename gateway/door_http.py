"""The door before an ASGI application: requests that come too fast are answered 429, others are told what is left to them."""

from typing import Any, Final

import msgspec

from gateway.api.endpoint import PREFIX, Receive, Scope, Send
from gateway.api.errors import TOO_MANY_REQUESTS
from gateway.door import Door, Verdict
from gateway.transports.cors import cors_headers

__all__ = ["GuardedApp"]

_API_BODY: Final = msgspec.json.encode({"error": TOO_MANY_REQUESTS})
_JSON: Final = (b"content-type", b"application/json")
_TEXT: Final = (b"content-type", b"text/plain; charset=utf-8")


class GuardedApp:
    """Asks a door before each request. WebSockets ask it by themselves, for they never come here."""

    def __init__(self, app: Any, door: Door, allowed_origins: tuple[str, ...]) -> None:
        self._app, self._door, self._allowed_origins = app, door, allowed_origins

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        # Preflights ask for nothing, and what follows them is counted.
        if scope["type"] != "http" or scope["method"] == "OPTIONS":
            await self._app(scope, receive, send)
            return
        verdict = self._door.ask(scope["path"], (scope.get("client") or ("",))[0])
        if verdict.is_refused:
            await self._refuse(scope, verdict, send)
        else:
            await self._app(scope, receive, _telling(send, verdict.headers) if verdict.headers else send)

    async def _refuse(self, scope: Scope, verdict: Verdict, send: Send) -> None:
        is_api = scope["path"].startswith(PREFIX)
        body = _API_BODY if is_api else b"too many requests\n"
        # So that the page that asked can read how long it should wait.
        cors = [] if is_api else cors_headers(dict(scope["headers"]), self._allowed_origins)
        length = (b"content-length", b"%d" % len(body))
        headers = [_JSON if is_api else _TEXT, length, *cors, *verdict.headers]
        await send({"type": "http.response.start", "status": 429, "headers": headers})
        await send({"type": "http.response.body", "body": body})


def _telling(send: Send, headers: list[tuple[bytes, bytes]]) -> Send:
    """Add headers to an answer, unless it tells of a rate of its own: that of its key, which is nearer."""

    async def tell(message: Any) -> None:
        if message["type"] == "http.response.start":
            given = message.get("headers", ())
            if not any(name == b"ratelimit-limit" for name, _ in given):
                message = {**message, "headers": [*given, *headers]}
        await send(message)

    return tell
