"""Header blocks of requests, RFC 7541: the library's table and errors around a shorter way through the block.

The library looks at each field through four functions and at each Huffman code nibble by nibble, which is a third of all that
a request costs a simulator. Callers repeat their credentials with every request, since these are never indexed (§7.1.3).
"""

from functools import lru_cache
from typing import Final

from hpack import HPACKDecodingError, InvalidTableSizeError, OversizedHeaderListError
from hpack.huffman_table import HUFFMAN_COMPLETE, HUFFMAN_EMIT_SYMBOL, HUFFMAN_FAIL, HUFFMAN_TABLE
from hpack.table import HeaderTable

__all__ = ["BlockDecoder"]

_ENTRY_BYTES: Final = 32  # §4.1: what a field counts beyond its name and value
_MOST_SHIFTED: Final = 28  # a number of more than five octets means nothing here (§5.1 lets us refuse it)


class BlockDecoder:
    """Decodes for one connection, with a table of the size that holds where nobody says anything else (§4.2).

    Args:
        most_bytes: How large a header list may be, counted as in §4.1.
    """

    def __init__(self, *, most_bytes: int) -> None:
        self._most_bytes, self._table = most_bytes, HeaderTable()
        self._largest_table = self._table.maxsize

    def decode(self, data: bytes) -> list[tuple[bytes, bytes]]:
        """Decode a block into pairs of bytes.

        Raises:
            HPACKDecodingError: The block breaks the rules, and the connection's table is not to be trusted any more.
            OversizedHeaderListError: It holds more than is allowed; so much of it was read.
        """
        fields: list[tuple[bytes, bytes]] = []
        table, at, end, inflated_bytes = self._table, 0, len(data), 0
        try:
            while at < end:
                first = data[at]
                if first & 0x80:  # §6.1
                    index, at = _number(data, at, 0x7F)
                    name, value = table.get_by_index(index)
                elif first & 0xE0 == 0x20:  # §6.3
                    at = self._resize(data, at, is_late=bool(fields))
                    continue
                else:  # §6.2: with 01 in front it enters the table
                    index, at = _number(data, at, 0x3F if first & 0x40 else 0x0F)
                    name, at = (table.get_by_index(index)[0], at) if index else _string(data, at)
                    value, at = _string(data, at)
                    if first & 0x40:
                        table.add(name, value)
                fields.append((name, value))
                inflated_bytes += len(name) + len(value) + _ENTRY_BYTES
                if inflated_bytes > self._most_bytes:
                    raise OversizedHeaderListError("the header list is too large")
        except IndexError:
            raise HPACKDecodingError("the block is cut off") from None
        return fields

    def _resize(self, data: bytes, at: int, *, is_late: bool) -> int:
        size, at = _number(data, at, 0x1F)
        if is_late:
            raise HPACKDecodingError("the table changes its size behind the first field")
        if size > self._largest_table:
            raise InvalidTableSizeError("the table would be too large")
        self._table.maxsize = size
        return at


def _number(data: bytes, at: int, mask: int) -> tuple[int, int]:
    """Read an integer, §5.1, and where it ends."""
    number = data[at] & mask
    at += 1
    if number < mask:
        return number, at
    shift = 0
    while True:
        octet = data[at]
        at += 1
        number += (octet & 0x7F) << shift
        if octet < 0x80:
            return number, at
        shift += 7
        if shift > _MOST_SHIFTED:
            raise HPACKDecodingError("a number is too large")


def _string(data: bytes, at: int) -> tuple[bytes, int]:
    """Read a string literal, §5.2, and where it ends."""
    is_coded = data[at] & 0x80
    length, at = _number(data, at, 0x7F)
    octets = data[at : at + length]
    if len(octets) != length:
        raise HPACKDecodingError("the block is cut off")
    return (_inflate(octets) if is_coded else octets), at + length


@lru_cache(8192)  # the paths of many devices, one after the other: any that does not hold them all holds none in time
def _inflate(octets: bytes) -> bytes:
    """Decode a Huffman code, §5.2 and appendix B."""
    state, is_complete, found = 0, True, bytearray()
    for octet in octets:
        symbols, state, is_complete = _STEPS.get(state << 8 | octet) or _step(state, octet)
        found += symbols
    if not is_complete:
        raise HPACKDecodingError("a Huffman code is cut off")
    return bytes(found)


# What an octet means in a state of the library's machine: symbols, the next state, and whether a code may end there.
_STEPS: Final[dict[int, tuple[bytes, int, bool]]] = {}


def _step(state: int, octet: int) -> tuple[bytes, int, bool]:
    key, symbols, flags = state << 8 | octet, b"", 0
    for nibble in (octet >> 4, octet & 0x0F):
        state, flags, symbol = HUFFMAN_TABLE[state * 16 + nibble]
        if flags & HUFFMAN_FAIL:
            raise HPACKDecodingError("a Huffman code means nothing")
        if flags & HUFFMAN_EMIT_SYMBOL:
            symbols += bytes((symbol,))
    _STEPS[key] = step = (symbols, state, bool(flags & HUFFMAN_COMPLETE))
    return step
