"""The HTTP/2 side of the simulators: one protocol on the h2 library, answering within the turn that brings the request.

What h2 is not asked to do, and why:

- **Compress.** See `header_block`, and `block_decoder` for what comes in.
- **Limit streams.** h2 ends the connection when a peer opens one stream too many, also when that peer has not seen the limit
  yet. Real services refuse the one stream (REFUSED_STREAM), so h2 is given no limit and this class keeps the count.
- **Say GOAWAY.** h2 considers a connection closed from then on and could not finish the streams in flight. The frame is
  written past it, and so are the SETTINGS that change the stream limit.
- **Return window per frame.** The connection's receive window is opened wide and topped up by the mebibyte, and streams
  never need theirs: a body that outgrows what any provider takes is cut and answered.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Final, cast

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions
import h2.settings
from hyperframe.frame import GoAwayFrame, SettingsFrame

from config.clock import Clock
from loadtest.simulators.block_decoder import BlockDecoder
from loadtest.simulators.exchange import Answer, Handler, Reply, Request
from loadtest.simulators.faults import CloseConnection, Delay, GoAway, LimitStreams, ResetStream, Silence, SplitBody
from loadtest.simulators.header_block import PlainEncoder

__all__ = ["MAX_BODY_BYTES", "Http2Protocol", "peer_of"]

MAX_BODY_BYTES: Final = 32 * 1024
_WINDOW: Final = 2**31 - 1
_TOP_UP_BYTES: Final = 1 << 20
_UNAUTHORISED_STREAMS: Final = 1

_CONFIG: Final = h2.config.H2Configuration(
    client_side=False,
    # Checked by the services, with their own words; h2 would drop the connection instead.
    validate_inbound_headers=False,
    normalize_inbound_headers=False,
    # Ours are constant and right.
    validate_outbound_headers=False,
    normalize_outbound_headers=False,
)


class _Stream:
    """A request on its way in, or waiting for its answer."""

    __slots__ = ("body", "headers", "is_complete")

    def __init__(self, headers: list[tuple[bytes, bytes]]) -> None:
        self.headers = headers
        self.body = bytearray()
        self.is_complete = False


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
        self._limit = streams if is_open else _UNAUTHORISED_STREAMS
        self._is_limit_held = is_open
        self._h2 = h2.connection.H2Connection(config=_CONFIG)
        self._h2.encoder, self._h2.decoder = PlainEncoder(), BlockDecoder()
        self._out = bytearray()
        self._streams: dict[int, _Stream] = {}
        self._unsent: dict[int, bytes] = {}
        self._received_bytes = 0
        self._last_stream_id: int | None = None  # set once GOAWAY went out: what lies above is ignored
        self._transport: asyncio.Transport
        self._peer = ""

    # -- asyncio's callbacks

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's has the methods, not the class
        self._peer = peer_of(self._transport)
        settings = {
            h2.settings.SettingCodes.MAX_CONCURRENT_STREAMS: self._limit,
            h2.settings.SettingCodes.MAX_HEADER_LIST_SIZE: 16 * 1024,
        }
        self._h2.local_settings = h2.settings.Settings(client=False, initial_values=settings)
        self._h2.initiate_connection()
        del self._h2.local_settings[h2.settings.SettingCodes.MAX_CONCURRENT_STREAMS]
        self._h2.increment_flow_control_window(_WINDOW - 65_535)
        self._flush()

    def data_received(self, data: bytes) -> None:
        try:
            events = self._h2.receive_data(data)
        except h2.exceptions.ProtocolError:
            self._flush()  # h2 has queued the GOAWAY that names the error
            self._transport.close()
            return
        for event in events:
            self._on_event(event)
        self._flush()

    def connection_lost(self, exc: Exception | None) -> None:
        self._streams.clear()
        self._unsent.clear()

    def pause_writing(self) -> None:
        # A peer that does not read its answers gets no more questions in.
        self._transport.pause_reading()

    def resume_writing(self) -> None:
        self._transport.resume_reading()

    # -- what comes in

    def _on_event(self, event: h2.events.Event) -> None:
        match event:
            case h2.events.RequestReceived():
                self._open(event)
            case h2.events.DataReceived():
                self._receive_body(event)
            case h2.events.StreamEnded():
                if (stream := self._streams.get(event.stream_id)) is not None and not stream.is_complete:
                    self._answer(event.stream_id, stream)
            case h2.events.StreamReset():
                self._forget(event.stream_id)
            case h2.events.WindowUpdated() | h2.events.RemoteSettingsChanged():
                self._send_unsent()
            case h2.events.ConnectionTerminated():
                self._transport.close()
            case _:
                pass

    def _open(self, event: h2.events.RequestReceived) -> None:
        if self._last_stream_id is not None and event.stream_id > self._last_stream_id:
            return
        if len(self._streams) >= self._limit:
            self._reset(event.stream_id, h2.errors.ErrorCodes.REFUSED_STREAM)
            return
        self._streams[event.stream_id] = _Stream(event.headers)

    def _receive_body(self, event: h2.events.DataReceived) -> None:
        self._received_bytes += event.flow_controlled_length
        if self._received_bytes >= _TOP_UP_BYTES:
            self._h2.increment_flow_control_window(self._received_bytes)
            self._received_bytes = 0
        stream = self._streams.get(event.stream_id)
        if stream is None or stream.is_complete:
            return
        stream.body += event.data
        if len(stream.body) > MAX_BODY_BYTES:
            # RFC 9113 §8.1: a server may answer early and reset with NO_ERROR what it will not read.
            self._answer(event.stream_id, stream)
            self._reset(event.stream_id, h2.errors.ErrorCodes.NO_ERROR)

    def _answer(self, stream_id: int, stream: _Stream) -> None:
        stream.is_complete = True
        answer = self._handler(_request_of(stream.headers, bytes(stream.body), self._peer))
        if answer.fault is None:
            self._reply(stream_id, answer.reply)
        else:
            self._misbehave(stream_id, answer)

    # -- what goes out

    def _misbehave(self, stream_id: int, answer: Answer) -> None:
        match answer.fault:
            case Delay(seconds=seconds):
                self._spawn(self._reply_later(stream_id, answer.reply, seconds))
            case Silence():
                pass
            case ResetStream(code=code):
                self._reset(stream_id, code)
            case GoAway() as fault:
                self._go_away(stream_id, answer.reply, fault)
            case CloseConnection(after_headers=after_headers):
                if after_headers:
                    self._h2.send_headers(stream_id, _headers_of(answer.reply))
                    self._flush()
                    self._transport.close()  # what was written still goes out
                else:
                    self._transport.abort()
            case SplitBody(size_bytes=size_bytes):
                self._reply(stream_id, answer.reply, piece_bytes=size_bytes)
            case LimitStreams(streams=streams):
                self._is_limit_held = True
                self._announce(streams)
                self._reply(stream_id, answer.reply)
            case _:
                self._reply(stream_id, answer.reply)

    async def _reply_later(self, stream_id: int, reply: Reply, seconds: float) -> None:
        await self._clock.sleep(seconds)
        if stream_id in self._streams:
            self._reply(stream_id, reply)
            self._flush()

    def _reply(self, stream_id: int, reply: Reply, *, piece_bytes: int = 0) -> None:
        if reply.is_authorised and not self._is_limit_held:
            self._is_limit_held = True
            self._announce(self._streams_authorised)
        try:
            self._h2.send_headers(stream_id, _headers_of(reply), end_stream=not reply.body)
            if reply.body:
                self._send_body(stream_id, reply.body, piece_bytes)
            else:
                self._forget(stream_id)
        except h2.exceptions.ProtocolError:
            self._forget(stream_id)  # reset by the peer, or the connection is closing: nobody listens

    def _send_body(self, stream_id: int, body: bytes, piece_bytes: int = 0) -> None:
        """Send as much as the peer's windows allow; the rest waits for its WINDOW_UPDATE."""
        while body:
            room = min(self._h2.local_flow_control_window(stream_id), self._h2.max_outbound_frame_size)
            if room <= 0:
                self._unsent[stream_id] = body
                return
            piece, body = body[: min(room, piece_bytes or room)], body[min(room, piece_bytes or room) :]
            self._h2.send_data(stream_id, piece, end_stream=not body)
        self._forget(stream_id)

    def _send_unsent(self) -> None:
        for stream_id in list(self._unsent):
            body = self._unsent.pop(stream_id)
            try:
                self._send_body(stream_id, body)
            except h2.exceptions.ProtocolError:
                self._forget(stream_id)

    def _reset(self, stream_id: int, code: int) -> None:
        self._forget(stream_id)
        try:
            self._h2.reset_stream(stream_id, code)
        except h2.exceptions.ProtocolError:
            pass  # closed on both sides already

    def _go_away(self, stream_id: int, reply: Reply, fault: GoAway) -> None:
        last = stream_id if fault.includes_call else stream_id - 2
        self._last_stream_id = max(0, last)
        self._write_frame(
            GoAwayFrame(
                0, last_stream_id=self._last_stream_id, error_code=fault.code, additional_data=fault.debug.encode()
            ).serialize()
        )
        for late in [known for known in self._streams if known > self._last_stream_id]:
            self._forget(late)
        if fault.includes_call:
            self._reply(stream_id, reply)
        self._close_when_drained()

    def _announce(self, streams: int) -> None:
        self._limit = streams
        frame = SettingsFrame(0)
        frame.settings = {SettingsFrame.MAX_CONCURRENT_STREAMS: streams}
        self._write_frame(frame.serialize())

    def _write_frame(self, frame: bytes) -> None:
        self._out += self._h2.data_to_send()  # keep the order: what h2 has said so far goes first
        self._out += frame

    def _forget(self, stream_id: int) -> None:
        self._streams.pop(stream_id, None)
        self._unsent.pop(stream_id, None)
        self._close_when_drained()

    def _close_when_drained(self) -> None:
        if self._last_stream_id is not None and not self._streams:
            self._flush()
            self._transport.close()

    def _flush(self) -> None:
        """Write once per loop turn all that the turn produced."""
        data = self._h2.data_to_send()
        if self._out:
            data = bytes(self._out) + data
            self._out.clear()
        if data and not self._transport.is_closing():
            self._transport.write(data)


def peer_of(transport: asyncio.Transport) -> str:
    """Read the common name of the certificate that a caller has shown; empty where it was not asked, or has none."""
    certificate = transport.get_extra_info("ssl_object").getpeercert() or {}
    names = (value for part in certificate.get("subject", ()) for name, value in part if name == "commonName")
    return next(names, "")


def _request_of(fields: list[tuple[bytes, bytes]], body: bytes, peer: str) -> Request:
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


def _headers_of(reply: Reply) -> list[tuple[bytes, bytes]]:
    return [(b":status", b"%d" % reply.status), *reply.headers]
