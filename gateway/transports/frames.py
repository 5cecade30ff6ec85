"""WebSocket frames from the server's side (RFC 6455 §5.2): two bytes or more of header, no mask."""

from collections.abc import Sequence
from typing import Final

from gateway.protocol.codec import Codec

__all__ = ["FRAME_LIMIT", "WebSocketWire", "data_frame"]

# Several client libraries refuse large frames; what leaves in one turn is cut into frames below this, but never a message.
FRAME_LIMIT: Final = 65536

TEXT: Final = 0x81  # FIN and opcode
BINARY: Final = 0x82


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

    transport_name = "websocket"

    def __init__(self, codec: Codec) -> None:
        self.codec = codec
        self._first_byte = TEXT if codec.name == "json" else BINARY
        self.ping_frame = data_frame(self._first_byte, codec.ping)

    def frame(self, messages: Sequence[bytes]) -> bytes:
        if len(messages) == 1:
            return data_frame(self._first_byte, messages[0])
        payload = self.codec.join(messages)
        if len(payload) < FRAME_LIMIT:
            return data_frame(self._first_byte, payload)
        return b"".join(data_frame(self._first_byte, self.codec.join(part)) for part in _parts(messages))


def _parts(messages: Sequence[bytes]) -> Sequence[Sequence[bytes]]:
    """Cut a sequence where a frame would grow over the limit."""
    parts: list[list[bytes]] = []
    room = 0
    for message in messages:
        if len(message) + 1 > room:
            parts.append([])
            room = FRAME_LIMIT - 1
        parts[-1].append(message)
        room -= len(message) + 1
    return parts
