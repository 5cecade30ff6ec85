"""What of an item is asked of the API: its payload, with an idempotency key where it brings none of its own.

A repeat after a crash then does no harm where the method knows such keys. Whoever needs more than the method keeps them for
gives a version or a key of their own.
"""

from typing import Final

import msgspec
from msgspec import Raw

from broker.event_source import Item

__all__ = ["body_of"]

_KEYED_METHODS: Final = frozenset({"publish", "broadcast", "notify"})
_FIELD: Final = "idempotency_key"
_EMPTY: Final = (b"", b'""', b"null")
_DECODER: Final = msgspec.json.Decoder(dict[str, Raw])


def body_of(item: Item, consumer: str) -> bytes:
    """Give the request's body; one that is no object of JSON is left for the method to refuse."""
    if item.method not in _KEYED_METHODS or not item.token:
        return item.payload
    try:
        fields = _DECODER.decode(item.payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return item.payload
    if bytes(fields.get(_FIELD, b"")).strip() not in _EMPTY:
        return item.payload
    fields[_FIELD] = Raw(msgspec.json.encode(f"{consumer}:{item.token}"))
    return msgspec.json.encode(fields)
