"""Messages become Protobuf bytes: one writer for each Struct, made from its annotations and the table of field numbers."""

from collections.abc import Callable, Mapping
from itertools import compress
from operator import call
from typing import Any, Final

import msgspec
from msgspec import Raw

from gateway.protocol.fields import FIELDS, Kind
from gateway.protocol.protobuf_reader import held_type
from gateway.protocol.wire import DELIMITED, VARINT, tag_of, varint

__all__ = ["Writer", "delimited", "writer_of"]

Writer = Callable[[Any], bytes]
"""Writes one message without a length before it, or one field with its tag."""

_U64_MASK: Final = (1 << 64) - 1

_writers: dict[Any, Writer] = {}


def writer_of(message: Any) -> Writer:
    """Tell the writer of a Struct."""
    if message not in _writers:
        _writers[message] = lambda value: _writers[message](value)
        _writers[message] = _make_writer(message)
    return _writers[message]


def delimited(data: bytes) -> bytes:
    """Put the length of a message before it."""
    return varint(len(data)) + data


def _make_writer(message: Any) -> Writer:
    numbers = FIELDS[message.__name__]
    fields = tuple(_make_field(*numbers[field.name], field.type) for field in msgspec.structs.fields(message))
    values_of = msgspec.structs.astuple

    def write(value: Any) -> bytes:
        # Zero values are false and left out, empty payloads too; a message that is there is true, also an empty one.
        values = values_of(value)
        return b"".join(map(call, compress(fields, values), filter(None, values)))

    return write


def _make_field(number: int, kind: Kind, annotation: Any) -> Writer:
    if kind in _VARINTS:
        return _VARINTS[kind](varint(tag_of(number, VARINT)))
    tag = varint(tag_of(number, DELIMITED))
    match kind:
        case Kind.STR:
            return _str_field(tag)
        case Kind.BYTES:
            return _bytes_field(tag)
        case Kind.MESSAGE:
            held = held_type(annotation)
            return _message_field(tag, writer_of(held)) if held.__struct_fields__ else _constant(tag + varint(0))
        case Kind.LIST:
            return _list_field(_held_field(tag, held_type(annotation)))
        case _:
            return _map_field(tag, _held_field(varint(tag_of(2, DELIMITED)), held_type(annotation)))


def _constant(written: bytes) -> Writer:
    return lambda _value: written


def _bool_field(tag: bytes) -> Writer:
    return _constant(tag + varint(1))


def _int_field(tag: bytes) -> Writer:
    # Negative numbers are written as 64 bits, also those of 32 (protobuf.dev, "Encoding", Signed Integers).
    return lambda value: tag + varint(value & _U64_MASK)


_VARINTS: Final[Mapping[Kind, Callable[[bytes], Writer]]] = {
    Kind.BOOL: _bool_field,
    Kind.U32: _int_field,
    Kind.U64: _int_field,
    Kind.I32: _int_field,
    Kind.I64: _int_field,
}


def _str_field(tag: bytes) -> Writer:
    def write(value: str) -> bytes:
        data = value.encode()
        return tag + varint(len(data)) + data

    return write


def _bytes_field(tag: bytes) -> Writer:
    def write(value: Raw) -> bytes:
        data = bytes(value)
        return tag + varint(len(data)) + data

    return write


def _message_field(tag: bytes, write_message: Writer) -> Writer:
    def write(value: Any) -> bytes:
        data = write_message(value)
        return tag + varint(len(data)) + data

    return write


def _held_field(tag: bytes, held: Any) -> Writer:
    return _str_field(tag) if held is str else _message_field(tag, writer_of(held))


def _list_field(write_item: Writer) -> Writer:
    return lambda items: b"".join([write_item(item) for item in items])


def _map_field(tag: bytes, write_value: Writer) -> Writer:
    """A map is a list of messages with the key in field 1 and the value in field 2; both are always written."""
    write_key = _str_field(varint(tag_of(1, DELIMITED)))
    write_entry = _message_field(tag, lambda entry: write_key(entry[0]) + write_value(entry[1]))
    return lambda entries: b"".join([write_entry(entry) for entry in entries.items()])
