"""WebSocket frames from the server's side (RFC 6455 §5.2): two bytes or more of header, no mask."""

from collections.abc import Sequence
from typing import Final

from gateway.protocol.codec import Codec
from gateway.transports.transport import Kind

__all__ = ["FRAME_LIMIT", "WebSocketWire", "cut", "data_frame"]

# Several client libraries refuse large frames; what leaves in one turn is cut into frames below this, but never a message.
FRAME_LIMIT: Final = 65536

TEXT: Final = 0x81  # FIN and opcode
BINARY: Final = 0x82
PING: Final = b"\x89\x00"


def data_frame(first_byte: int, payload: bytes) -> bytes:
    """Put one message into one frame."""
    size = len(payload)
    if size < 126:
        return b"%c%c%b" % (first_byte, size, payload)
    if size < 65536:
        return b"%c\x7e%b%b" % (first_byte, size.to_bytes(2, "big"), payload)
    return b"%c\x7f%b%b" % (first_byte, size.to_bytes(8, "big"), payload)


class WebSocketWire:
    """The protocol in WebSocket frames; plays `gateway.transports.transport.Wire`."""

    expects_pong = True

    def __init__(self, codec: Codec, kind: Kind = Kind.BIDIRECTIONAL, *, pings_frames: bool = False) -> None:
        """Make a wire; with `pings_frames` pings are WebSocket's own instead of the protocol's."""
        self.codec, self.kind = codec, kind
        self.transport_name = "uni_websocket" if kind is Kind.UNIDIRECTIONAL else "websocket"
        self.announces_ping = not pings_frames
        self._first_byte = BINARY if codec.name == "protobuf" else TEXT
        own_ping = data_frame(self._first_byte, codec.ping)
        if kind is Kind.UNIDIRECTIONAL:
            self.ping_frame = own_ping + PING  # the client sees the first, its library answers the second
        else:
            self.ping_frame = PING if pings_frames else own_ping

    def share(self, messages: list[bytes]) -> list[bytes]:
        return messages

    def frame(self, messages: Sequence[bytes]) -> bytes:
        if len(messages) == 1:
            return data_frame(self._first_byte, messages[0])
        if self.kind is Kind.UNIDIRECTIONAL:
            return b"".join(data_frame(self._first_byte, message) for message in messages)
        payload = self.codec.join(messages)
        if len(payload) < FRAME_LIMIT:
            return data_frame(self._first_byte, payload)
        return b"".join(data_frame(self._first_byte, self.codec.join(part)) for part in cut(messages))


def cut(messages: Sequence[bytes]) -> Sequence[Sequence[bytes]]:
    """Cut messages into those of one frame each, where a frame would grow over the limit."""
    parts: list[list[bytes]] = []
    room = 0
    for message in messages:
        if len(message) + 1 > room:
            parts.append([])
            room = FRAME_LIMIT - 1
        parts[-1].append(message)
        room -= len(message) + 1
    return parts
