"""What of a text one provider would show, as a value that both sides of the product know."""

from collections.abc import Callable, Sequence

import msgspec

from broker.notification import Content

__all__ = ["Show", "Showing"]


class Showing(msgspec.Struct, frozen=True):
    """A provider's view. `size_bytes` is that of its message, `limit_bytes` 0 where there is none; `cuts` says what was cut,
    and `refusal` why nothing would be shown at all."""

    provider: str
    title: str = ""
    body: str = ""
    size_bytes: int = 0
    limit_bytes: int = 0
    cuts: tuple[str, ...] = ()
    refusal: str = ""


Show = Callable[[Content, str], Sequence[Showing]]
"""Tells what the providers of a route (empty for all routes) would show of a content."""
