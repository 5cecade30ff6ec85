"""Header blocks of replies, RFC 7541 without its state: what is saved is the library's search, Huffman code and table.

A reply has few and mostly unique fields, so compressing them costs a third of the whole request and gains a few bytes on
loopback.
"""

from collections.abc import Iterable
from typing import Final

__all__ = ["PlainEncoder"]

_FORGET_TABLE: Final = b"\x20"  # §6.3: a dynamic table of size 0, right for whatever size the peer allows
_STATUSES: Final = {b"200": b"\x88", b"204": b"\x89", b"400": b"\x8c", b"404": b"\x8d", b"500": b"\x8e"}  # Appendix A
_STATUS: Final = b"\x08"  # §6.2.2 with the name `:status` out of the static table


class PlainEncoder:
    """Encodes for one connection: every field a literal without indexing, `:status` from the static table."""

    def __init__(self) -> None:
        self._is_begun = False

    def encode(self, headers: Iterable[tuple[bytes, bytes]]) -> bytes:
        """Encode pairs of bytes, of which `:status` comes first."""
        block = bytearray() if self._is_begun else bytearray(_FORGET_TABLE)
        self._is_begun = True
        for name, value in headers:
            if name == b":status":
                block += _STATUSES.get(value) or _STATUS + _string(value)
            else:
                block += b"\x00" + _string(name) + _string(value)
        return bytes(block)


def _string(octets: bytes) -> bytes:
    """Write a string literal, §5.2, its length as an integer with a prefix of seven bits, §5.1."""
    length = len(octets)
    if length < 127:
        return bytes((length,)) + octets
    prefix, length = bytearray(b"\x7f"), length - 127
    while length >= 128:
        prefix.append(length & 127 | 128)
        length >>= 7
    prefix.append(length)
    return bytes(prefix) + octets
