"""Protobuf bytes become messages: one reader for each Struct, made from its annotations and the table of field numbers."""

from collections.abc import Callable, Mapping
from functools import partial
from operator import and_
from typing import Any, Final, Protocol, get_args

import msgspec

from gateway.protocol.codec import CodecError
from gateway.protocol.fields import FIELDS, Kind
from gateway.protocol.messages import raw
from gateway.protocol.wire import DELIMITED, VARINT, read_varint, skip, tag_of

__all__ = ["Reader", "held_type", "reader_of"]


class Reader(Protocol):
    """Reads the bytes of one message, which have no length before them."""

    def __call__(self, data: bytes, earlier: Any = None, /) -> Any:
        """Read a message and merge it into an earlier one of the same field.

        Raises:
            CodecError: The bytes are no such message.
            IndexError: They end too early.
            UnicodeDecodeError: A string is not UTF-8.
        """


# A field's name, what reads its value, and whether that wants the field's earlier value too: messages are merged, lists and
# maps grow, the rest is replaced.
_Field = tuple[str, Callable[..., Any], bool]

_SIGN_32: Final = 1 << 31
_SIGN_64: Final = 1 << 63

# What the 64 bits of a varint mean; surplus ones are cut off, as all implementations do.
_OF_VARINT: Final[Mapping[Kind, Callable[[int], Any]]] = {
    Kind.BOOL: bool,
    Kind.U32: partial(and_, 0xFFFFFFFF),
    Kind.U64: int,
    Kind.I32: lambda bits: ((bits & 0xFFFFFFFF) ^ _SIGN_32) - _SIGN_32,
    Kind.I64: lambda bits: (bits ^ _SIGN_64) - _SIGN_64,
}
_OF_BYTES: Final[Mapping[Kind, Callable[[bytes], Any]]] = {Kind.STR: bytes.decode, Kind.BYTES: raw}

_readers: dict[Any, Reader] = {}


def reader_of(message: Any) -> Reader:
    """Tell the reader of a Struct whose fields all have defaults, as those of all requests have."""
    if message not in _readers:
        # Stands in while the fields are looked at: a message may hold its own kind.
        _readers[message] = lambda data, earlier=None: _readers[message](data, earlier)
        _readers[message] = _make_reader(message, FIELDS[message.__name__])
    return _readers[message]


def held_type(annotation: Any) -> Any:
    """Tell what a field holds: a message, also where it is optional; the values of a map or list."""
    held = [argument for argument in get_args(annotation) if argument is not type(None)]
    return held[-1] if held else annotation


def _make_reader(message: Any, table: Mapping[str, tuple[int, Kind]]) -> Reader:
    # By tag, so that a wrong wire type is not found.
    fields = dict(_make_field(field.name, *table[field.name], field.type) for field in msgspec.structs.fields(message))
    numbers = frozenset(tag >> 3 for tag in fields)

    def read(data: bytes, earlier: Any = None) -> Any:
        # The hot loop of everything that clients send.
        values: dict[str, Any] = {} if earlier is None else msgspec.structs.asdict(earlier)
        at, end = 0, len(data)
        while at < end:
            tag = data[at]
            at += 1
            if tag > 0x7F:
                tag, at = read_varint(data, at - 1)
            field = fields.get(tag)
            if field is None:
                if tag >> 3 in numbers:
                    raise CodecError(f"field {tag >> 3} has a wrong wire type")
                at = skip(data, at, tag)
                continue
            name, read_value, wants_earlier = field
            value = data[at]
            at += 1
            if value > 0x7F:
                value, at = read_varint(data, at - 1)
            if not tag & 7:  # a varint; all others are delimited
                values[name] = read_value(value)
                continue
            start, at = at, at + value
            if at > end:
                raise IndexError("a field is cut short")
            if wants_earlier:
                values[name] = read_value(data[start:at], values.get(name))
            else:
                values[name] = read_value(data[start:at])
        return message(**values)

    return read


def _make_field(name: str, number: int, kind: Kind, annotation: Any) -> tuple[int, _Field]:
    if kind in _OF_VARINT:
        return tag_of(number, VARINT), (name, _OF_VARINT[kind], False)
    tag = tag_of(number, DELIMITED)
    if kind in _OF_BYTES:
        return tag, (name, _OF_BYTES[kind], False)
    held = held_type(annotation)
    if kind is Kind.MAP:
        return tag, (name, _make_read_entry(held), True)
    if kind is Kind.LIST:
        return tag, (name, _make_read_item(held), True)
    return tag, (name, reader_of(held), True)


def _make_read_item(held: Any) -> Callable[[bytes, list[Any] | None], list[Any]]:
    read = bytes.decode if held is str else reader_of(held)

    def read_item(data: bytes, earlier: list[Any] | None) -> list[Any]:
        items = [] if earlier is None else earlier
        items.append(read(data))
        return items

    return read_item


def _make_read_entry(held: Any) -> Callable[[bytes, dict[str, Any] | None], dict[str, Any]]:
    """A map is a list of messages with the key in field 1 and the value in field 2; either may be left out."""
    kind, annotation, absent = (Kind.STR, str, "") if held is str else (Kind.MESSAGE, held | None, None)
    entry_type = msgspec.defstruct("Entry", [("key", str, ""), ("value", annotation, absent)])
    read = _make_reader(entry_type, {"key": (1, Kind.STR), "value": (2, kind)})

    def read_entry(data: bytes, earlier: dict[str, Any] | None) -> dict[str, Any]:
        entry = read(data)
        entries = {} if earlier is None else earlier
        entries[entry.key] = held() if entry.value is None else entry.value
        return entries

    return read_entry
