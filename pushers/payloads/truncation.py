"""How a notification is made to fit: the same steps for every provider, in the order in which they hurt least.

1. the image goes, if it takes more than a quarter of the limit; 2. the body is cut to no less than 64 characters as readers
see them; 3. the subtitle, then the title are cut to no less than 80. Data, link and ids are never touched: what still does not
fit is too large. Sizes are bytes of the final encoding, where quotes and control characters grow; so the place of a cut is
found by bisection.
"""

from bisect import bisect_right
from collections.abc import Callable
from itertools import islice
from typing import Final

import msgspec

from pushers.payloads.graphemes import boundaries

__all__ = ["BODY_KEEPS", "TITLE_KEEPS", "Fitted", "Shown", "fit"]

BODY_KEEPS: Final = 64
TITLE_KEEPS: Final = 80
_ELLIPSIS: Final = "…"


class Shown(msgspec.Struct, frozen=True):
    """The parts of a notification that may be shortened."""

    title: str
    body: str
    image: str
    subtitle: str = ""


class Fitted(msgspec.Struct, frozen=True):
    """What remained, and in words what was cut: "body -1204 bytes"; empty when nothing was."""

    shown: Shown
    cuts: tuple[str, ...] = ()


def fit(shown: Shown, size_bytes: Callable[[Shown], int], limit_bytes: int) -> Fitted | None:
    """Shorten until it fits; None when it cannot.

    Args:
        size_bytes: Measures the encoded message with these parts; longer parts never measure less.
    """
    if size_bytes(shown) <= limit_bytes:
        return Fitted(shown)
    original = shown
    if len(shown.image.encode()) * 4 > limit_bytes:
        shown = msgspec.structs.replace(shown, image="")
    for field, keeps in (("body", BODY_KEEPS), ("subtitle", TITLE_KEEPS), ("title", TITLE_KEEPS)):
        if size_bytes(shown) <= limit_bytes:
            break
        shown = _shorten(shown, field, keeps, size_bytes, limit_bytes)
    if size_bytes(shown) > limit_bytes:
        return None
    return Fitted(shown, _tell_cuts(original, shown))


def _shorten(shown: Shown, field: str, keeps: int, size_bytes: Callable[[Shown], int], limit_bytes: int) -> Shown:
    """Cut one part at the last character that fits, or at the least that must be kept."""
    text: str = getattr(shown, field)

    def cut_at(end: int) -> Shown:
        return msgspec.structs.replace(shown, **{field: text[:end].rstrip() + _ELLIPSIS})

    # Every code point is a byte at least, so that nothing beyond the limit can be kept, however long the text is. The
    # whole text is no candidate: with the ellipsis it would be longer than before.
    ends = [end for end in boundaries(text[: limit_bytes + 1]) if end < min(len(text), limit_bytes + 1)]
    if len(ends) < keeps:
        return shown
    candidates = list(islice(ends, keeps - 1, None))
    fitting = bisect_right(candidates, limit_bytes, key=lambda end: size_bytes(cut_at(end)))
    shorter = cut_at(candidates[max(0, fitting - 1)])
    return shorter if size_bytes(shorter) < size_bytes(shown) else shown  # the ellipsis may weigh more than what it replaces


def _tell_cuts(before: Shown, after: Shown) -> tuple[str, ...]:
    sizes = (
        (name, len(getattr(before, name).encode()), len(getattr(after, name).encode())) for name in Shown.__struct_fields__
    )
    return tuple(f"{name} -{was - now} bytes" for name, was, now in sizes if was != now)
