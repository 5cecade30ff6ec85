"""The HTTP/2 side of the simulators: answers within the turn that brings the request, and misbehaves as told."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Final, cast

from config.clock import Clock
from loadtest.simulators.connection import MAX_BODY_BYTES, Connection, Fields
from loadtest.simulators.exchange import Answer, Handler, Reply, Request
from loadtest.simulators.faults import CloseConnection, Delay, GoAway, LimitStreams, ResetStream, Silence, SplitBody
from loadtest.simulators.frames import Broken, ErrorCode

__all__ = ["Http2Protocol", "peer_of"]

_UNAUTHORISED_STREAMS: Final = 1


class Http2Protocol(asyncio.Protocol):
    """One HTTP/2 connection. `spawn` owns the tasks that delay answers: nothing else needs one.

    Args:
        streams: The stream limit of an authorised peer.
        is_open: Whether that limit holds from the start; otherwise one stream is allowed until a reply is authorised.
    """

    def __init__(
        self,
        handler: Handler,
        clock: Clock,
        spawn: Callable[[Coroutine[Any, Any, None]], object],
        *,
        streams: int,
        is_open: bool,
    ) -> None:
        self._handler = handler
        self._clock = clock
        self._spawn = spawn
        self._streams_authorised = streams
        self._is_limit_held = is_open
        self._connection = Connection(self._answer, streams=streams if is_open else _UNAUTHORISED_STREAMS)
        self._transport: asyncio.Transport
        self._peer = ""

    # -- asyncio's callbacks

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's has the methods, not the class
        self._peer = peer_of(self._transport)
        self._flush()

    def data_received(self, data: bytes) -> None:
        try:
            self._connection.receive(data)
        except Broken:
            self._flush()  # the GOAWAY that names the error
            self._transport.close()
            return
        self._flush()
        if self._connection.is_left:
            self._transport.close()

    def pause_writing(self) -> None:
        # A peer that does not read its answers gets no more questions in.
        self._transport.pause_reading()

    def resume_writing(self) -> None:
        self._transport.resume_reading()

    # -- answers

    def _answer(self, stream_id: int, fields: Fields, body: bytes) -> None:
        request = _request_of(fields, body, self._peer)
        declared = request.headers.get(b"content-length")
        if declared is not None and declared != b"%d" % len(body) and len(body) <= MAX_BODY_BYTES:
            self._connection.reset(stream_id, ErrorCode.PROTOCOL_ERROR)  # RFC 9113 §8.1.1
            return
        answer = self._handler(request)
        if answer.fault is None:
            self._reply(stream_id, answer.reply)
        else:
            self._misbehave(stream_id, answer)

    def _misbehave(self, stream_id: int, answer: Answer) -> None:
        match answer.fault:
            case Delay(seconds=seconds):
                self._spawn(self._reply_later(stream_id, answer.reply, seconds))
            case Silence():
                pass
            case ResetStream(code=code):
                self._connection.reset(stream_id, code)
            case GoAway() as fault:
                last = stream_id if fault.includes_call else stream_id - 2
                self._connection.go_away(last, fault.code, fault.debug.encode())
                if fault.includes_call:
                    self._reply(stream_id, answer.reply)
            case CloseConnection(after_headers=after_headers):
                if after_headers:
                    self._connection.send_headers(stream_id, _fields_of(answer.reply), is_end=False)
                    self._flush()
                    self._transport.close()  # what was written still goes out
                else:
                    self._transport.abort()
            case SplitBody(size_bytes=size_bytes):
                self._reply(stream_id, answer.reply, piece_bytes=size_bytes)
            case LimitStreams(streams=streams):
                self._is_limit_held = True
                self._connection.limit_streams(streams)
                self._reply(stream_id, answer.reply)
            case _:
                self._reply(stream_id, answer.reply)

    async def _reply_later(self, stream_id: int, reply: Reply, seconds: float) -> None:
        await self._clock.sleep(seconds)
        if self._connection.is_open(stream_id):
            self._reply(stream_id, reply)
            self._flush()

    def _reply(self, stream_id: int, reply: Reply, *, piece_bytes: int = 0) -> None:
        if reply.is_authorised and not self._is_limit_held:
            self._is_limit_held = True
            self._connection.limit_streams(self._streams_authorised)
        self._connection.send_headers(stream_id, _fields_of(reply), is_end=not reply.body)
        if reply.body:
            self._connection.send_body(stream_id, reply.body, piece_bytes=piece_bytes)

    def _flush(self) -> None:
        """Write once per loop turn all that the turn produced; after GOAWAY the last answer ends the connection."""
        data = self._connection.output()
        if data and not self._transport.is_closing():
            self._transport.write(data)
        if self._connection.is_drained:
            self._transport.close()


def peer_of(transport: asyncio.Transport) -> str:
    """Read the common name of the certificate that a caller has shown; empty where it was not asked, or has none."""
    certificate = transport.get_extra_info("ssl_object").getpeercert() or {}
    names = (value for part in certificate.get("subject", ()) for name, value in part if name == "commonName")
    return next(names, "")


def _request_of(fields: Fields, body: bytes, peer: str) -> Request:
    headers: dict[bytes, bytes] = {}
    repeated = b""
    for name, value in fields:
        if name in headers and not repeated:
            repeated = name
        headers[name] = value
    return Request(
        method=headers.pop(b":method", b"").decode("latin-1"),
        path=headers.pop(b":path", b"").decode("latin-1"),
        authority=(headers.pop(b":authority", b"") or headers.get(b"host", b"")).decode("latin-1"),
        headers=headers,
        body=body,
        repeated=repeated,
        peer=peer,
    )


def _fields_of(reply: Reply) -> Fields:
    return [(b":status", b"%d" % reply.status), *reply.headers]
