"""The HTTP/1.1 side of the simulators, for callers that do not speak HTTP/2; APNs does not offer it."""

import asyncio
from collections.abc import Callable, Coroutine
from http import HTTPStatus
from typing import Any, cast

import httptools

from config.clock import Clock
from loadtest.simulators.connection import MAX_BODY_BYTES
from loadtest.simulators.exchange import Answer, Handler, Reply, Request
from loadtest.simulators.faults import CloseConnection, Delay, GoAway, ResetStream, Silence, SplitBody

__all__ = ["Http1Protocol"]


class Http1Protocol(asyncio.Protocol):
    """One HTTP/1.1 connection with keep-alive; pipelined requests are answered in order.

    Faults that HTTP/1.1 has no frame for drop the connection (RST_STREAM, GOAWAY) or change nothing (SETTINGS).
    """

    def __init__(self, handler: Handler, clock: Clock, spawn: Callable[[Coroutine[Any, Any, None]], object]) -> None:
        self._handler = handler
        self._clock = clock
        self._spawn = spawn
        self._parser = httptools.HttpRequestParser(self)
        self._url = b""
        self._headers: list[tuple[bytes, bytes]] = []
        self._body = bytearray()
        self._transport: asyncio.Transport

    # -- asyncio's callbacks

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's has the methods, not the class

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._send(Reply(400, ((b"connection", b"close"),)))
            self._transport.close()

    # -- httptools' callbacks

    def on_message_begin(self) -> None:
        self._url = b""
        self._headers = []
        self._body.clear()

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers.append((name.lower(), value))

    def on_body(self, body: bytes) -> None:
        if len(self._body) <= MAX_BODY_BYTES:
            self._body += body

    def on_message_complete(self) -> None:
        answer = self._handler(self._request())
        if answer.fault is None:
            self._send(answer.reply)
        else:
            self._misbehave(answer)

    # -- answers

    def _request(self) -> Request:
        headers = dict(self._headers)
        names = [name for name, _ in self._headers]
        return Request(
            method=self._parser.get_method().decode("latin-1"),
            path=self._url.decode("latin-1"),
            authority=headers.get(b"host", b"").decode("latin-1"),
            headers=headers,
            body=bytes(self._body),
            repeated=next((name for name in headers if names.count(name) > 1), b""),
        )

    def _misbehave(self, answer: Answer) -> None:
        match answer.fault:
            case Delay(seconds=seconds):
                self._transport.pause_reading()  # or a pipelined request would be answered before this one
                self._spawn(self._send_later(answer.reply, seconds))
            case Silence():
                self._transport.pause_reading()
            case ResetStream() | GoAway(includes_call=False) | CloseConnection(after_headers=False):
                self._transport.abort()
            case CloseConnection():
                self._transport.write(_head_of(answer.reply))
                self._transport.close()
            case GoAway():
                self._send(answer.reply)
                self._transport.close()
            case SplitBody(size_bytes=size_bytes):
                self._transport.write(_head_of(answer.reply))
                for start in range(0, len(answer.reply.body), size_bytes):
                    self._transport.write(answer.reply.body[start : start + size_bytes])
            case _:
                self._send(answer.reply)

    async def _send_later(self, reply: Reply, seconds: float) -> None:
        await self._clock.sleep(seconds)
        if not self._transport.is_closing():
            self._send(reply)
            self._transport.resume_reading()

    def _send(self, reply: Reply) -> None:
        self._transport.write(_head_of(reply) + reply.body)


def _head_of(reply: Reply) -> bytes:
    lines = [b"HTTP/1.1 %d %s" % (reply.status, _phrase(reply.status))]
    lines += [name + b": " + value for name, value in reply.headers]
    if reply.status != HTTPStatus.NO_CONTENT:
        lines.append(b"content-length: %d" % len(reply.body))
    return b"\r\n".join(lines) + b"\r\n\r\n"


def _phrase(status: int) -> bytes:
    try:
        return HTTPStatus(status).phrase.encode()
    except ValueError:
        return b"Unknown"
