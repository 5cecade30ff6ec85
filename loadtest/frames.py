"""WebSocket frames as a client sees them (RFC 6455 §5): parsed incrementally, built with a mask that costs nothing.

Enough for measuring: no extensions are offered, so a reserved bit is an error; control frames may come between fragments.
"""

import base64
import hashlib

__all__ = ["ACCEPT", "CLOSE", "KEY", "PING", "PONG", "TEXT", "BadFrame", "FrameParser", "close_code", "encode_frame"]

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA

# One key for all: it guards against caches between, of which a load test has none. The answer to it is still checked.
KEY = "aGVsaW9ncmFwaC1sb2FkIQ=="
ACCEPT = base64.b64encode(
    hashlib.sha1(f"{KEY}258EAFA5-E914-47DA-95CA-C5AB0DC85B11".encode(), usedforsecurity=False).digest()
).decode()

_MOST_BYTES = 64 * 1024 * 1024


class BadFrame(Exception):
    """The server broke RFC 6455."""


class FrameParser:
    """Cuts the bytes of a server into whole messages and control frames, however the network chunked them."""

    __slots__ = ("_fragments", "_opcode", "_rest")

    def __init__(self) -> None:
        self._rest = b""
        self._fragments: list[bytes] = []
        self._opcode = 0

    def text_start(self, data: bytes) -> int:
        """Tell where the payload begins when `data` is exactly one whole text frame; else 0, and nothing changed."""
        size = len(data)
        if size < 4 or data[0] != 0x80 | TEXT or self._rest or self._fragments:
            return 0
        length = data[1]
        if length < 126:
            return 2 if size == length + 2 else 0
        return 4 if length == 126 and size == (data[2] << 8 | data[3]) + 4 else 0

    def feed(self, data: bytes) -> list[tuple[int, bytes]]:
        """Take what arrived.

        Returns:
            (opcode, payload) of every message and control frame that is complete now, in order; fragments joined.
        Raises:
            BadFrame: A mask, reserved bits, or more bytes than any server should send at once.
        """
        if self._rest:
            data = self._rest + data
        found: list[tuple[int, bytes]] = []
        position, end = 0, len(data)
        while end - position >= 2:
            start, length = _payload_span(data, position, end)
            if start == 0 or end - start < length:
                break
            self._take(data[position], data[start : start + length], found)
            position = start + length
        self._rest = data[position:] if position < end else b""
        return found

    def _take(self, first_byte: int, payload: bytes, found: list[tuple[int, bytes]]) -> None:
        if first_byte & 0x70:
            raise BadFrame("reserved bits are set, though no extension was offered")
        opcode = first_byte & 0x0F
        if first_byte & 0x80 and opcode != CONTINUATION:
            found.append((opcode, payload))
            return
        if opcode != CONTINUATION:
            self._opcode = opcode
        self._fragments.append(payload)
        if first_byte & 0x80:
            found.append((self._opcode, b"".join(self._fragments)))
            self._fragments = []


def _payload_span(data: bytes, position: int, end: int) -> tuple[int, int]:
    """Tell where the payload starts and its length in bytes; a start of 0 when the header is not complete."""
    length = data[position + 1]
    if length < 126:
        return position + 2, length
    if length >= 128:
        raise BadFrame("a server must not mask its frames")
    width = 2 if length == 126 else 8
    start = position + 2 + width
    if start > end:
        return 0, 0
    length = int.from_bytes(data[position + 2 : start], "big")
    if length > _MOST_BYTES:
        raise BadFrame(f"a frame of {length} bytes")
    return start, length


def encode_frame(opcode: int, payload: bytes) -> bytes:
    """Build one final frame of a client.

    The masking key is zero, which leaves the payload as it is: the mask protects old intermediaries, not us.
    """
    length = len(payload)
    if length < 126:
        head = bytes((0x80 | opcode, 0x80 | length))
    elif length < 65536:
        head = bytes((0x80 | opcode, 0xFE)) + length.to_bytes(2, "big")
    else:
        head = bytes((0x80 | opcode, 0xFF)) + length.to_bytes(8, "big")
    return head + b"\0\0\0\0" + payload


def close_code(payload: bytes) -> int:
    """Read the code of a close frame; 1005 when it names none (RFC 6455 §7.1.5)."""
    return int.from_bytes(payload[:2], "big") if len(payload) >= 2 else 1005
