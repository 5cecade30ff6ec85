"""A lean HTTP/1.1 client: one keep-alive connection, one request at a time, bodies in and out as bytes."""

import asyncio
import ssl

from loadtest.failures import describe_failure
from loadtest.target import Target

__all__ = ["HttpConnection", "HttpFailed"]

_HEAD_LIMIT_BYTES = 64 * 1024


class HttpFailed(Exception):
    """No whole answer came; whether the server acted on the request is unknown."""


class HttpConnection:
    """One keep-alive connection; opens itself again after a failure."""

    def __init__(self, target: Target, api_key: str, *, timeout_s: float = 30.0) -> None:
        self._target = target
        self._timeout_s = timeout_s
        self._head = f"Host: {target.authority}\r\nX-API-Key: {api_key}\r\nContent-Type: application/json\r\n"
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self._turn = asyncio.Lock()

    async def post(self, path: str, body: bytes) -> tuple[int, bytes]:
        """Send one POST and await (status, body).

        Raises:
            HttpFailed: Refused, broken off or timed out.
        """
        return await self._exchange("POST", path, body)

    async def get(self, path: str) -> tuple[int, bytes]:
        """Send one GET and await (status, body); raises HttpFailed as `post` does."""
        return await self._exchange("GET", path, b"")

    async def aclose(self) -> None:
        """Close the connection; a later request opens it again."""
        streams, self._streams = self._streams, None
        if streams is not None:
            streams[1].close()

    async def _exchange(self, method: str, path: str, body: bytes) -> tuple[int, bytes]:
        async with self._turn:  # callers that overlap wait for each other
            return await self._exchange_alone(method, path, body)

    async def _exchange_alone(self, method: str, path: str, body: bytes) -> tuple[int, bytes]:
        request = f"{method} {self._target.prefix}{path} HTTP/1.1\r\n{self._head}Content-Length: {len(body)}\r\n\r\n".encode()
        try:
            async with asyncio.timeout(self._timeout_s):
                reader, writer = self._streams or await self._open()
                writer.write(request + body)
                status, answer, keeps = await _read_answer(reader)
        except (OSError, ValueError, EOFError, TimeoutError, asyncio.LimitOverrunError) as exc:
            await self.aclose()
            raise HttpFailed(describe_failure(exc)) from exc
        except asyncio.CancelledError:
            await self.aclose()  # its answer would be taken for the next request's
            raise
        if not keeps:
            await self.aclose()
        return status, answer

    async def _open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        context = ssl.create_default_context() if self._target.tls else None
        self._streams = await asyncio.open_connection(
            self._target.host, self._target.port, ssl=context, limit=_HEAD_LIMIT_BYTES
        )
        return self._streams


async def _read_answer(reader: asyncio.StreamReader) -> tuple[int, bytes, bool]:
    """Read one answer: its status, its body, and whether the connection stays open."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    status_line, *lines = head.split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    status = int(status_line.partition(" ")[2][:3])
    keeps = headers.get("connection", "").lower() != "close"
    if headers.get("transfer-encoding", "").lower() == "chunked":
        body = await _read_chunks(reader)
    elif "content-length" in headers:
        body = await reader.readexactly(int(headers["content-length"]))
    else:
        body, keeps = await reader.read(-1), False
    return status, body, keeps


async def _read_chunks(reader: asyncio.StreamReader) -> bytes:
    chunks: list[bytes] = []
    while size := int((await reader.readline()).split(b";")[0], 16):
        chunks.append(await reader.readexactly(size))
        await reader.readline()
    while (await reader.readline()).strip():  # trailers
        pass
    return b"".join(chunks)
