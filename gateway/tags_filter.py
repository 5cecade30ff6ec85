"""Filters over the tags of publications: the rules they keep, the key of equal ones, and the function that one becomes.

A filter is a tree of `FilterNode`. A leaf compares one tag; `and`, `or` and `not` join nodes, and each kind reads only its
own fields. It is compiled once for all who subscribe with an equal one, and asked once per publication and cohort.
"""

import operator
import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from hashlib import blake2b
from typing import Any, Final
from weakref import WeakValueDictionary

import msgspec

from gateway.protocol.messages import FilterNode

__all__ = [
    "MAX_BYTES",
    "MAX_DEPTH",
    "MAX_NODES",
    "MAX_VALS",
    "MAX_VALUES",
    "Filter",
    "canonical_key",
    "compile_filter",
    "shared_filter",
    "shared_filters",
    "validate",
]

Filter = Callable[[Mapping[str, str]], bool]

# Every publication is asked about, and every subscription may hold a filter, so one is bounded: a request of 64 KiB could
# become a megabyte. `MAX_VALS` counts for each leaf, `MAX_VALUES` and `MAX_BYTES` (in UTF-8, with the keys) for the whole.
MAX_DEPTH: Final = 8
MAX_NODES: Final = 64
MAX_VALS: Final = 128
MAX_VALUES: Final = 512
MAX_BYTES: Final = 16384

# Filters in use, by their keys; one that nobody holds any more is gone from here too.
_shared: Final[WeakValueDictionary[str, Filter]] = WeakValueDictionary()

_ORDER: Final[Mapping[str, Callable[[Decimal, Decimal], bool]]] = {
    "gt": operator.gt,
    "gte": operator.ge,
    "lt": operator.lt,
    "lte": operator.le,
}
_ONE_VALUE: Final = frozenset({"eq", "neq", "sw", "ew", "ct", *_ORDER})
_MANY_VALUES: Final = frozenset({"in", "nin"})
_NO_VALUE: Final = frozenset({"ex", "nex"})

# Decimal numbers as Centrifugo reads them: no exponent, no space, digits on both sides of a point, at most 19 behind it.
_DECIMAL: Final = re.compile(r"[+-]?[0-9]+(\.[0-9]{1,19})?")
_MAX_DECIMAL_LENGTH: Final = 200


def validate(node: FilterNode) -> str:
    """Tell which rule a filter breaks and where in the tree, "" for none."""
    level, depth, count = [("", node)], 0, 0
    values = size = 0
    # By levels: what lies deeper than the bound is never visited, however deep a client nests.
    while level:
        depth, count = depth + 1, count + len(level)
        if depth > MAX_DEPTH:
            return f"nodes must not be nested deeper than {MAX_DEPTH}"
        if count > MAX_NODES:
            return f"there must not be more than {MAX_NODES} nodes"
        for path, each in level:
            if fault := _fault(each):
                return f"{path}{fault}"
            if not each.op:
                values += len(each.vals)
                size += sum(len(text.encode()) for text in (each.key, each.val, *each.vals))
        if values > MAX_VALUES:
            return f"there must not be more than {MAX_VALUES} values in vals, all nodes together"
        if size > MAX_BYTES:
            return f"keys and values must not take more than {MAX_BYTES} bytes, all nodes together"
        level = [(f"{path}nodes[{i}].", child) for path, each in level if each.op for i, child in enumerate(each.nodes)]
    return ""


def canonical_key(node: FilterNode) -> str:
    """Make a short text that is the same for filters that differ only in order, repetition or unread fields.

    `node` must be valid. The key is never "".
    """
    return blake2b(msgspec.json.encode(_canonical(node)), digest_size=16).hexdigest()


def shared_filter(node: FilterNode) -> tuple[str, Filter]:
    """Find or make the filter of a valid `node`, with its key: those who ask for equal ones hold the same one."""
    key = canonical_key(node)
    passes = _shared.get(key)
    if passes is None:
        passes = _shared[key] = compile_filter(node)
    return key, passes


def shared_filters() -> int:
    """Count the filters that somebody holds."""
    return len(_shared)


def compile_filter(node: FilterNode) -> Filter:
    """Make the function that tells whether a publication with these tags passes; `node` must be valid."""
    if not node.op:
        return _compile_leaf(node)
    parts = tuple(compile_filter(each) for each in node.nodes)
    if node.op == "not":
        (part,) = parts
        return lambda tags: not part(tags)
    if len(parts) == 1:
        return parts[0]
    return _every(parts) if node.op == "and" else _some(parts)


def _fault(node: FilterNode) -> str:
    match node.op:
        case "":
            return _leaf_fault(node)
        case "and" | "or":
            return "" if node.nodes else f"nodes must not be empty for op {node.op}"
        case "not":
            return "" if len(node.nodes) == 1 else "nodes must hold exactly one node for op not"
    return "op must be and, or, not, or empty for a comparison"


def _leaf_fault(node: FilterNode) -> str:
    cmp = node.cmp
    if cmp not in _ONE_VALUE | _MANY_VALUES | _NO_VALUE:
        return f"cmp must be one of {', '.join(sorted(_ONE_VALUE | _MANY_VALUES | _NO_VALUE))}"
    if cmp in _ONE_VALUE and not node.val:
        return f"val must not be empty for cmp {cmp}"
    if cmp not in _ONE_VALUE and node.val:
        return f"val must be absent for cmp {cmp}"
    if cmp in _MANY_VALUES and not node.vals:
        return f"vals must not be empty for cmp {cmp}"
    if cmp not in _MANY_VALUES and node.vals:
        return f"vals must be absent for cmp {cmp}"
    if len(node.vals) > MAX_VALS:
        return f"vals must not hold more than {MAX_VALS} values"
    if not node.key and cmp not in _NO_VALUE:
        return f"key must not be empty for cmp {cmp}"
    return ""


def _canonical(node: FilterNode) -> list[Any]:
    if not node.op:
        return [node.cmp, node.key, node.val, *sorted(set(node.vals))]
    # All parts are lists; as texts they have an order.
    parts = {msgspec.json.encode(_canonical(each)).decode() for each in node.nodes}
    return [node.op, sorted(parts)]


def _every(parts: tuple[Filter, ...]) -> Filter:
    def passes(tags: Mapping[str, str]) -> bool:
        for part in parts:  # noqa: SIM110 (a generator would double the cost)
            if not part(tags):
                return False
        return True

    return passes


def _some(parts: tuple[Filter, ...]) -> Filter:
    def passes(tags: Mapping[str, str]) -> bool:
        for part in parts:  # noqa: SIM110 (as above)
            if part(tags):
                return True
        return False

    return passes


def _compile_leaf(node: FilterNode) -> Filter:
    key, val = node.key, node.val
    match node.cmp:
        case "eq":
            return lambda tags: tags.get(key) == val
        case "neq":
            return lambda tags: tags.get(key) != val
        case "in" | "nin":
            return _membership(node)
        case "ex":
            return lambda tags: key in tags
        case "nex":
            return lambda tags: key not in tags
        # `val` is not empty here, so an absent tag may stand as an empty one.
        case "sw":
            return lambda tags: tags.get(key, "").startswith(val)
        case "ew":
            return lambda tags: tags.get(key, "").endswith(val)
        case "ct":
            return lambda tags: val in tags.get(key, "")
    return _comparison(node)


def _membership(node: FilterNode) -> Filter:
    key, vals = node.key, frozenset(node.vals)
    if node.cmp == "in":
        return lambda tags: tags.get(key, "") in vals
    return lambda tags: tags.get(key, "") not in vals


def _comparison(node: FilterNode) -> Filter:
    key, holds, bound = node.key, _ORDER[node.cmp], _number(node.val)
    if bound is None:
        return lambda tags: False

    def passes(tags: Mapping[str, str]) -> bool:
        number = _number(tags.get(key, ""))
        return number is not None and holds(number, bound)

    return passes


def _number(text: str) -> Decimal | None:
    if len(text) > _MAX_DECIMAL_LENGTH or not _DECIMAL.fullmatch(text):
        return None
    # Exact: neither making a Decimal of a text nor comparing two rounds, whatever the context.
    return Decimal(text)
