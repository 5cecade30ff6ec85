"""The syntax tree of a checked CEL expression: read from the form that the library writes it in.

That form is the message `cel.expr.CheckedExpr` (cel-spec, `checked.proto` and `syntax.proto`). Only what the checks in
`conditions.py` look at is read; a tree is a value, and knows of each node where in the text it stands.
"""

from collections.abc import Iterator, Mapping
from typing import Final

import msgspec

__all__ = ["Node", "Tree", "read_tree"]

# Fields of cel.expr.Expr, by what kind of node they make.
_KINDS: Final = {3: "const", 4: "ident", 5: "select", 6: "call", 7: "list", 8: "struct", 9: "comprehension"}
_STRING: Final = 6  # of cel.expr.Constant


class Node(msgspec.Struct, frozen=True):
    """One node.

    Attributes:
        kind: const, ident, select, call, list, struct or comprehension.
        name: Of an ident or of a resolved attribute, the field of a select, the function of a call, the text of a const that
            is one.
        inner: What it is made of. Of a comprehension: the range, the start of the sum, condition, step and result.
        place: Where it stands, in code points from the start; -1 where a macro made it.
    """

    kind: str
    name: str
    inner: tuple["Node", ...]
    place: int


class Tree(msgspec.Struct, frozen=True):
    """A whole expression, with its text for telling places."""

    root: Node
    text: str

    def walk(self) -> Iterator[Node]:
        """Give every node."""
        waiting = [self.root]
        while waiting:
            node = waiting.pop()
            yield node
            waiting += node.inner

    def line_and_column(self, node: Node) -> tuple[int, int]:
        """Tell where a node stands, both from 1."""
        before = self.text[: max(0, node.place)]
        return before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1


def read_tree(serialized: bytes, text: str) -> Tree:
    """Read what the library wrote of an expression with this text."""
    checked = _only(dict(_fields(serialized)), 2)  # google.protobuf.Any
    parts: dict[int, list[bytes]] = {}
    for number, value in _fields(checked):
        if isinstance(value, bytes):
            parts.setdefault(number, []).append(value)
    places = dict(_pair(value) for source in parts.get(5, ()) for number, value in _bytes(source) if number == 4)
    names: dict[int, str] = {}
    for entry in parts.get(2, ()):
        of = dict(_fields(entry))
        reference = dict(_bytes(_only(of, 2)))
        if 1 in reference:
            names[int(of.get(1, 0))] = reference[1].decode()
    return Tree(_node(parts[4][0], places, names), text)


def _node(expression: bytes, places: Mapping[int, int], names: Mapping[int, str]) -> Node:
    node_id, kind, body = 0, "", b""
    for number, value in _fields(expression):
        if number == 2 and isinstance(value, int):
            node_id = value
        elif number in _KINDS and isinstance(value, bytes):
            kind, body = _KINDS[number], value
    place = places.get(node_id, -1)
    if node_id in names and kind in ("ident", "select"):
        return Node("ident", names[node_id], (), place)
    name, inner = _READERS.get(kind, _nothing)(body)
    return Node(kind, name, tuple(_node(one, places, names) for one in inner), place)


def _nothing(_body: bytes) -> tuple[str, list[bytes]]:
    return "", []


def _const(body: bytes) -> tuple[str, list[bytes]]:
    return next((value.decode() for number, value in _bytes(body) if number == _STRING), ""), []


def _ident(body: bytes) -> tuple[str, list[bytes]]:
    return next((value.decode() for number, value in _bytes(body) if number == 1), ""), []


def _select(body: bytes) -> tuple[str, list[bytes]]:
    parts = list(_bytes(body))
    field = next((value.decode() for number, value in parts if number == 2), "")
    return field, [value for number, value in parts if number == 1]


def _call(body: bytes) -> tuple[str, list[bytes]]:
    parts = list(_bytes(body))
    function = next((value.decode() for number, value in parts if number == 2), "")
    return function, [value for number, value in parts if number in (1, 3)]


def _list(body: bytes) -> tuple[str, list[bytes]]:
    return "", [value for number, value in _bytes(body) if number == 1]


def _struct(body: bytes) -> tuple[str, list[bytes]]:
    entries = [list(_bytes(value)) for number, value in _bytes(body) if number == 2]
    return "", [value for entry in entries for number, value in entry if number in (3, 4)]


def _comprehension(body: bytes) -> tuple[str, list[bytes]]:
    parts = dict(_bytes(body))
    return parts.get(1, b"").decode(), [parts[number] for number in (2, 4, 5, 6, 7) if number in parts]


_READERS: Final = {
    "const": _const,
    "ident": _ident,
    "select": _select,
    "call": _call,
    "list": _list,
    "struct": _struct,
    "comprehension": _comprehension,
}


def _only(fields: Mapping[int, int | bytes], number: int) -> bytes:
    value = fields.get(number, b"")
    return value if isinstance(value, bytes) else b""


def _pair(entry: bytes) -> tuple[int, int]:
    """Read an entry of a map from numbers to numbers; a zero is left out on the wire."""
    fields = dict(_fields(entry))
    return int(fields.get(1, 0)), int(fields.get(2, 0))


def _bytes(message: bytes) -> Iterator[tuple[int, bytes]]:
    for number, value in _fields(message):
        if isinstance(value, bytes):
            yield number, value


def _fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Read a Protobuf message field by field (protobuf.dev, "Encoding"): numbers as such, everything else as bytes."""
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        match key & 7:
            case 0:
                number, at = _varint(message, at)
                yield key >> 3, number
            case 1 | 5 as wire_type:
                size = 8 if wire_type == 1 else 4
                yield key >> 3, message[at : at + size]
                at += size
            case 2:
                size, at = _varint(message, at)
                yield key >> 3, message[at : at + size]
                at += size
            case wire_type:
                raise ValueError(f"no wire type {wire_type} is known")


def _varint(message: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at
