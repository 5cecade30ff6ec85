"""What a phone number gets: one text, cut to so many parts, in the cheaper of the two alphabets where it can be.

Alphabets and lengths: 3GPP TS 23.038 §6.2.1 (GSM 7 bit, 160 characters, or 153 in each of several parts) and §6.2.3 (UCS-2, 70
or 67). One character outside the first alphabet makes the whole message travel in the second.
"""

from bisect import bisect_right
from collections.abc import Iterator
from typing import Final, Literal

import msgspec

from broker.notification import Notification
from pushers.outcome import DropMessage, TooLarge
from pushers.payloads.graphemes import boundaries

__all__ = ["SmsText", "compose_sms", "count_parts"]

_GSM: Final = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿"
    "abcdefghijklmnopqrstuvwxyzäöñüà"
)
# Written with an escape, so that each takes two places.
_GSM_EXTENDED: Final = frozenset("\f^{}\\[~]|€")
_PLAINER: Final = str.maketrans(
    {
        **dict.fromkeys("‘’‚‛′", "'"),
        **dict.fromkeys("“”„‟″«»", '"'),
        **dict.fromkeys("‐‑‒–—―−", "-"),
        **dict.fromkeys("\u00a0\u2002\u2003\u2009\u202f\t", " "),
        "…": "...",
    }
)
_PART_BYTES: Final = 140
# Places in a message of one part, and in each part of several.
_GSM_PLACES: Final = (160, 153)
_UCS2_PLACES: Final = (70, 67)


class SmsText(msgspec.Struct, frozen=True):
    """The text as it is sent, how many parts it is charged as, and what was cut to make it fit."""

    text: str
    alphabet: Literal["gsm7", "ucs2"]
    parts: int
    cuts: tuple[str, ...] = ()


def compose_sms(notification: Notification, *, max_parts: int) -> SmsText | TooLarge | DropMessage:
    """Compose title, body and link; the body is cut between characters as readers see them, the link never."""
    content = notification.content
    shown = "\n".join(_printable(text) for text in (content.title, content.body) if text.strip())
    if not shown:
        return DropMessage("nothing to show in a text message")
    link = content.link if content.link.startswith(("https://", "http://")) else ""
    whole = _plain(shown, link)
    if whole.parts <= max_parts:
        return whole
    # No part has room for more than 160 characters, so that nothing beyond that can be kept, however long the text is.
    ends = list(boundaries(shown[: max_parts * _GSM_PLACES[0] + 1]))
    fitting = bisect_right(ends, max_parts, key=lambda end: _plain(shown[:end].rstrip() + "…", link).parts)
    if not fitting:
        return TooLarge(max_parts * _PART_BYTES)
    end = ends[fitting - 1]
    cut = _plain(shown[:end].rstrip() + "…", link)
    return msgspec.structs.replace(cut, cuts=(f"text -{len(shown) - end} characters",))


def count_parts(text: str) -> tuple[Literal["gsm7", "ucs2"], int]:
    """Tell in which alphabet a text travels, and in how many parts."""
    if all(char in _GSM or char in _GSM_EXTENDED for char in text):
        return "gsm7", _parts((1 + (char in _GSM_EXTENDED) for char in text), _GSM_PLACES)
    return "ucs2", _parts((1 + (char > "\uffff") for char in text), _UCS2_PLACES)


def _plain(shown: str, link: str) -> SmsText:
    """Join text and link, with plainer quotes and dashes where that saves the cheaper alphabet."""
    written = "\n".join(part for part in (shown, link) if part)
    for text in (written.translate(_PLAINER), written):
        alphabet, parts = count_parts(text)
        if alphabet == "gsm7":
            break
    return SmsText(text, alphabet, parts)


def _parts(widths: Iterator[int], places: tuple[int, int]) -> int:
    """Count parts; nothing that takes two places is broken over the end of one."""
    alone, of_several = places
    whole, parts, used = 0, 1, 0
    for width in widths:
        whole += width
        if used + width > of_several:
            parts, used = parts + 1, 0
        used += width
    return 1 if whole <= alone else parts


def _printable(text: str) -> str:
    return "".join(char if char.isprintable() or char in "\n\u200d" else " " for char in text).strip()
