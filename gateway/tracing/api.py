"""Calls of the HTTP API as spans, below those of their callers."""

from typing import Any, Final

from config.tracing import Kind, Tracing, active
from gateway.api.call import Calls
from gateway.api.endpoint import PREFIX, ApiEndpoint, Receive, Scope, Send

__all__ = ["TracedApiEndpoint"]

_FAILED: Final = 500


class TracedApiEndpoint(ApiEndpoint):
    """The endpoint with a span around each request; named by its method, so that nobody can make names."""

    def __init__(self, tracing: Tracing, calls: Calls, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._tracing, self._known = tracing, calls

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        name = scope["path"][len(PREFIX) :]
        route = PREFIX + (name if name in self._known else "{method}")
        headers = dict(scope["headers"])
        span = self._tracing.begin(
            f"POST {route}",
            Kind.SERVER,
            parent=headers.get(b"traceparent", b"").decode("latin-1"),
            tracestate=headers.get(b"tracestate", b"").decode("latin-1"),
            attributes={"http.route": route, "http.request.method": "POST" if scope["method"] == "POST" else "_OTHER"},
        )

        async def watched(message: Any) -> None:
            if message["type"] == "http.response.start":
                status = message["status"]
                span.note({"http.response.status_code": status})
                if status >= _FAILED:
                    span.fail(str(status))
            await send(message)

        try:
            with active(span):
                await super().__call__(scope, receive, watched)
        except BaseException as exc:
            span.fail(type(exc).__name__)
            raise
        finally:
            span.end()
