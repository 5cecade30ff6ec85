"""The bytes of Protobuf (protobuf.dev/programming-guides/encoding): varints, tags, and how unknown fields are passed over.

Reading past the end raises IndexError, so that the hot loops need no check per byte; the codec makes a CodecError of it.
"""

from typing import Final

from gateway.protocol.codec import CodecError

__all__ = ["DELIMITED", "VARINT", "read_varint", "skip", "tag_of", "varint"]

VARINT: Final = 0
FIXED64: Final = 1
DELIMITED: Final = 2
GROUP_START: Final = 3
GROUP_END: Final = 4
FIXED32: Final = 5

_U64_MAX: Final = (1 << 64) - 1
_TAG_MIN: Final = 1 << 3  # there is no field 0
_TAG_MAX: Final = (1 << 32) - 1
_DEEPEST_GROUP: Final = 100  # the limit of the public implementations


def _varint(value: int) -> bytes:
    written = bytearray()
    while value > 0x7F:
        written.append(value & 0x7F | 0x80)
        value >>= 7
    written.append(value)
    return bytes(written)


# All tags, and nearly all lengths: a look-up takes a fifth of the time.
_SHORT: Final = tuple(map(_varint, range(2048)))


def varint(value: int) -> bytes:
    """Write a number from 0 to 2**64 - 1."""
    return _SHORT[value] if value < 2048 else _varint(value)


def tag_of(number: int, wire_type: int) -> int:
    """Tell the number that stands before a field's value, itself written as a varint."""
    return number << 3 | wire_type


def read_varint(data: bytes, at: int) -> tuple[int, int]:
    """Read a number of up to 64 bits; tells it and where the next byte is.

    Raises:
        CodecError: It has more than 64 bits.
        IndexError: The bytes end inside of it.
    """
    value = shift = 0
    while shift < 64:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            if value > _U64_MAX:
                break
            return value, at
        shift += 7
    raise CodecError("a varint of more than 64 bits")


def skip(data: bytes, at: int, tag: int, depth: int = 0) -> int:
    """Pass over the value of an unknown field, which begins at `at`; tells where the next field begins.

    Raises:
        CodecError: The tag is none, or groups are unbalanced or too deep.
        IndexError: The bytes end inside of it.
    """
    if not _TAG_MIN <= tag <= _TAG_MAX:
        raise CodecError("not a field's tag")
    wire_type = tag & 7
    if wire_type == VARINT:
        return read_varint(data, at)[1]
    if wire_type == GROUP_START:
        return _skip_group(data, at, tag, depth)
    if wire_type == DELIMITED:
        size, at = read_varint(data, at)
    elif wire_type == FIXED64:
        size = 8
    elif wire_type == FIXED32:
        size = 4
    else:
        raise CodecError("the end of a group that did not begin, or an unknown wire type")
    if at + size > len(data):
        raise IndexError("a field is cut short")
    return at + size


def _skip_group(data: bytes, at: int, start: int, depth: int) -> int:
    """Groups are out of use, but part of the encoding: fields, up to the end tag with the start tag's number."""
    if depth == _DEEPEST_GROUP:
        raise CodecError("groups are too deep")
    end = start - GROUP_START + GROUP_END
    while True:
        tag, at = read_varint(data, at)
        if tag == end:
            return at
        at = skip(data, at, tag, depth + 1)
