"""WebSocket: the handshake and inbound frames by `websockets`' Sans-I/O protocol, outbound frames straight to the transport.

uvicorn hands over a connection whose request asks for an upgrade; from then on this object is the asyncio protocol of
the socket. Limits are judged before the upgrade. Nothing here awaits.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final, cast

from websockets.datastructures import Headers
from websockets.exceptions import InvalidState
from websockets.frames import BINARY, CONT, PONG, TEXT, Frame
from websockets.http11 import Request

from gateway.node import Node
from gateway.protocol import disconnects
from gateway.protocol.disconnects import Disconnect
from gateway.protocol.messages import DisconnectPush, Push
from gateway.session.session import Session
from gateway.transports.conversation import Conversation
from gateway.transports.deflate import Deflate, compressed
from gateway.transports.frames import WebSocketWire
from gateway.transports.handshake import DEFAULT_WIRE, Refusal, judge
from gateway.transports.transport import Kind, Wire

__all__ = ["WebSocketConnection"]

_CLOSE_TIMEOUT_S: Final = 5.0
_SLOW_CLOSE_TIMEOUT_S: Final = 1.0
_REASON_LIMIT: Final = 123  # RFC 6455 §5.5: 125 bytes of control payload, less two of the code


def _forget_empty_offer(headers: Headers) -> None:
    """Take an empty offer of subprotocols for none: a JSON client of the Python SDK sends one, and the parser refuses it."""
    if "Sec-WebSocket-Protocol" in headers and not "".join(headers.get_all("Sec-WebSocket-Protocol")).strip():
        del headers["Sec-WebSocket-Protocol"]


@lru_cache(maxsize=256)
def _shared(kept: tuple[tuple[str, str], ...]) -> Mapping[str, str]:
    """Make one object of what many clients have alike, such as the origin of their page."""
    return dict(kept)


class WebSocketConnection(asyncio.Protocol):
    """One WebSocket; plays `gateway.transports.transport.Transport` for its session."""

    __slots__ = (
        "_address",
        "_close_code",
        "_fragments",
        "_has_spoken",
        "_headers",
        "_is_closing",
        "_node",
        "_peer",
        "_session",
        "_transport",
        "wire",
        "write",
    )

    def __init__(self, node: Node) -> None:
        self._node = node
        self._peer = Conversation(node.settings.websocket)
        self._transport: asyncio.Transport | None = None
        self._session: Session | None = None
        self._headers = _shared(())
        self._address = ""
        self._fragments: list[bytes] | None = None
        self._is_closing = False
        self._has_spoken = False
        self._close_code = disconnects.CLOSED.code
        self.wire: Wire = DEFAULT_WIRE

    @classmethod
    def of_uvicorn(cls, node: Node, *, config: Any, server_state: Any, app_state: Any) -> WebSocketConnection:
        """Make one the way uvicorn makes its own; what it hands over is not needed."""
        return cls(node)

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is one in all but name
        self.write = self._transport.write
        # More than this waiting to be sent makes a client slow; the event loop tells us, so that no write has to ask.
        self._transport.set_write_buffer_limits(high=self._node.settings.client.queue_max_size)

    def data_received(self, data: bytes) -> None:
        peer = self._peer
        peer.receive_data(data)
        for event in peer.events_received():
            if isinstance(event, Frame):
                self._take_frame(event)
            else:
                assert isinstance(event, Request)
                self._take_handshake(event)
        self._send_pending()

    def eof_received(self) -> None:
        self._peer.receive_eof()
        self._send_pending()

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        if self._session is not None:
            session, self._session = self._session, None
            self._node.close_session(session, self._close_code)

    def pause_writing(self) -> None:
        # This is called from inside a write, perhaps in the middle of a room; its members must not change there.
        asyncio.get_running_loop().call_soon(self._end_slow)

    def resume_writing(self) -> None:
        """Nothing to do: a client that was paused is told to go."""

    def shutdown(self) -> None:
        """What uvicorn calls at its end; the node has told everybody before."""
        self.abort()

    # What the session calls.

    def close(self, disconnect: Disconnect) -> None:
        if self._is_closing or self._transport is None:
            return
        self._is_closing = True
        self._close_code = disconnect.code
        is_slow = disconnect is disconnects.SLOW
        if self.wire.kind is Kind.UNIDIRECTIONAL and not is_slow:
            # Clients without an SDK learn it where they learn everything else.
            push = Push(disconnect=DisconnectPush(disconnect.code, disconnect.reason))
            self.write(self.wire.frame((self.wire.codec.encode_push(push),)))
        self._send_close(disconnect)
        # The buffer of a slow one is full; the close frame waits behind what it does not read, and it gets a short time.
        self._node.wheel.after(_SLOW_CLOSE_TIMEOUT_S if is_slow else _CLOSE_TIMEOUT_S, self.abort)

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def pause_reading(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()

    @property
    def address(self) -> str:
        return self._address

    @property
    def headers(self) -> Mapping[str, str]:
        return self._headers

    # The inner works.

    def _take_handshake(self, request: Request) -> None:
        settings = self._node.settings
        self._address = self._read_address(request.headers)
        judged = judge(request.path, request.headers, settings, lambda: self._node.admit(self._address))
        if isinstance(judged, Refusal):
            if judged.status == 403:
                self._node.audit.origin_refused(self.address, "".join(request.headers.get_all("Origin")))
            response = self._peer.reject(judged.status, judged.text)
            if judged.retry_after_s:
                response.headers["Retry-After"] = str(judged.retry_after_s)
        else:
            _forget_empty_offer(request.headers)
            response = self._peer.accept(request)
        self._peer.send_response(response)
        self._send_pending()
        if response.status_code != 101 or isinstance(judged, Refusal):
            return
        self.wire = self._wire_for(judged.wire)
        if self._node.is_draining:
            self.close(disconnects.SHUTDOWN)
            return
        kept = self._node.kept_headers
        lines = ((name.lower(), value) for name, value in request.headers.raw_items())
        self._headers = _shared(tuple((name, value) for name, value in lines if name in kept))
        self._session = self._node.open_session(self)
        if judged.first_frame is not None:
            self._receive(judged.first_frame)

    def _read_address(self, headers: Headers) -> str:
        assert self._transport is not None
        peer = self._transport.get_extra_info("peername")
        lines = ((name.lower().encode(), value.encode(errors="replace")) for name, value in headers.raw_items())
        return self._node.addresses.of(str(peer[0]), lines) if isinstance(peer, tuple) else ""

    def _wire_for(self, chosen: WebSocketWire) -> WebSocketWire:
        """Give the wire that was chosen, or its compressed twin where that was agreed on."""
        window_bits = self._peer.window_bits
        if window_bits is None:
            return chosen
        settings = self._node.settings.websocket
        return compressed(chosen, Deflate(settings.compression_level, settings.compression_min_size, window_bits))

    def _take_frame(self, frame: Frame) -> None:
        if frame.opcode is TEXT or frame.opcode is BINARY:
            if frame.fin:
                self._receive(bytes(frame.data))
            else:
                self._fragments = [bytes(frame.data)]
        elif frame.opcode is CONT and self._fragments is not None:
            if frame.data:  # empty ones add nothing that a size limit would see
                self._fragments.append(bytes(frame.data))
            if frame.fin:
                message, self._fragments = b"".join(self._fragments), None
                self._receive(message)
        elif frame.opcode is PONG and self._session is not None:
            self._session.client.take_frame_pong()

    def _receive(self, message: bytes) -> None:
        session = self._session
        if session is None or self._is_closing:
            return
        if self.wire.kind is Kind.UNIDIRECTIONAL:
            if self._has_spoken:
                return  # whatever it says after its connect request is read and ignored
            self._has_spoken = True
        session.receive(message)

    def _send_pending(self) -> None:
        """Send what the Sans-I/O side wants sent: the handshake, pongs, close frames, the end of the stream."""
        transport = self._transport
        assert transport is not None
        for data in self._peer.data_to_send():
            if data:
                transport.write(data)
            else:
                self._end(transport)

    def _end(self, transport: asyncio.Transport) -> None:
        """End the stream: the handshake was refused, both sides have said goodbye, or the peer broke the protocol."""
        self._is_closing = True
        if self._session is not None:
            # It leaves its rooms now: a transport that was ended raises at the next write, in the middle of a room.
            self._session.client.lose()
        if self._peer.parser_exc is not None and transport.can_write_eof():
            # A peer that broke the protocol may still be sending, and closing a socket with bytes unread resets it:
            # the close frame would be lost. So what it sends is read and dropped until it ends as well.
            transport.write_eof()
        else:
            transport.close()
        if self._peer.parser_exc is not None or transport.get_write_buffer_size():
            self._node.wheel.after(_CLOSE_TIMEOUT_S, self.abort)

    def _send_close(self, disconnect: Disconnect) -> None:
        reason = disconnect.reason.encode()[:_REASON_LIMIT].decode(errors="ignore")
        try:
            self._peer.send_close(disconnect.code, reason)
        except InvalidState:
            if self._peer.parser_exc is None:
                self.abort()  # the peer has begun to close
            return  # else it has broken the protocol since, and is about to be told so
        self._send_pending()

    def _end_slow(self) -> None:
        if self._session is not None:
            self._session.client.disconnect(disconnects.SLOW)
