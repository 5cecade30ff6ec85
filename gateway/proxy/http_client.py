"""The one HTTP client of the gateway: posts to the backend and reads a bounded answer.

One pool per endpoint, so that a slow one takes no connection from another. No redirects, cookies or proxies of the
environment; certificates are verified. An answer is never decompressed, so that a small one cannot become a large one.
"""

import ssl
from collections.abc import Coroutine, Mapping
from typing import Any, Final

import aiohttp
import msgspec

from config.proxy_settings import EndpointSettings
from config.tracing import Span
from gateway.proxy.errors import BackendFailed

__all__ = ["ANSWER_LIMIT", "HttpAnswer", "HttpClient", "traced_call"]

ANSWER_LIMIT: Final = 256 * 1024
_CONNECTIONS: Final = 256
# Below the 5 s after which common servers close: a request must not run into a connection that is just being closed.
_KEEP_ALIVE_S: Final = 4.0
_OWN_HEADERS: Final = {"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": "heliograph"}


class HttpAnswer(msgspec.Struct, frozen=True):
    """What came back: a status and a body of at most `ANSWER_LIMIT` bytes."""

    status: int
    body: bytes


class HttpClient:
    """A pool of connections to one endpoint."""

    def __init__(self, settings: EndpointSettings) -> None:
        """Make a client; nothing is connected yet.

        Raises:
            OSError: The certificates cannot be read.
        """
        self._endpoint, self._timeout_s = settings.endpoint, settings.timeout
        self._trust: ssl.SSLContext | bool = ssl.create_default_context(cafile=settings.ca_file) if settings.ca_file else True
        self._session: aiohttp.ClientSession | None = None

    async def post(self, body: bytes, headers: Mapping[str, str]) -> HttpAnswer:
        """Post a body and read the whole answer. Must be called within a task.

        Raises:
            BackendFailed: No whole answer within the timeout; whether the backend acted is unknown.
        """
        session = self._open()
        try:
            async with session.post(self._endpoint, data=body, headers=headers, allow_redirects=False) as response:
                return HttpAnswer(response.status, await _read(response.content))
        except TimeoutError:
            raise BackendFailed("no answer in time") from None
        except (aiohttp.ClientError, OSError) as exc:
            raise BackendFailed(f"no answer: {type(exc).__name__}") from exc

    async def close(self) -> None:
        """Close the connections; safe to call twice, or before the first request."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=_CONNECTIONS, keepalive_timeout=_KEEP_ALIVE_S, ssl=self._trust),
                timeout=aiohttp.ClientTimeout(total=self._timeout_s),
                cookie_jar=aiohttp.DummyCookieJar(),
                headers=_OWN_HEADERS,
                auto_decompress=False,
            )
        return self._session


async def traced_call(span: Span | None, call: Coroutine[Any, Any, HttpAnswer]) -> HttpAnswer:
    """Wait for an answer, and end the span of the call, where there is one, as it ended."""
    if span is None:
        return await call
    try:
        answer = await call
        span.note({"http.response.status_code": answer.status})
        return answer
    except BaseException as exc:
        span.fail(type(exc).__name__)
        raise
    finally:
        span.end()


async def _read(content: aiohttp.StreamReader) -> bytes:
    body = bytearray()
    while chunk := await content.read(ANSWER_LIMIT + 1 - len(body)):
        body += chunk
        if len(body) > ANSWER_LIMIT:
            raise BackendFailed(f"answer longer than {ANSWER_LIMIT} bytes")
    return bytes(body)
