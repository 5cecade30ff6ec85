"""What an API method is: a name, the type of its request, and a handler from request to result."""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

import msgspec

__all__ = ["Method", "Methods", "table_of"]

Handler = Callable[[Any], Awaitable[msgspec.Struct]]


class Method(msgspec.Struct, frozen=True):
    """One method. A `strict` one is our own: unknown fields and wrong types are error 107 that names them; the others follow
    Centrifugo, where unknown fields are ignored and a wrong type is HTTP 400.

    One that `may_overlap` is begun, in a batch, without waiting for the answers of those before it that may as well.

    The handler's docstring and its annotation of the result are its documentation; `group` is the heading it stands under.
    """

    name: str
    request: type[msgspec.Struct]
    handle: Handler
    is_strict: bool = False
    may_overlap: bool = False
    group: str = ""


Methods = Mapping[str, Method]


def table_of(methods: Iterable[Method]) -> Methods:
    """Put methods into one table by name."""
    return {method.name: method for method in methods}
