"""Where a text may be cut: between what readers see as single characters (UAX #29, extended grapheme clusters).

Python's `unicodedata` lacks the cluster properties, so that they are drawn from general categories and fixed ranges. Where
this is not exact it keeps more together than the annex asks for, and never less: a cut text shows no broken character.
"""

import unicodedata
from collections.abc import Iterator
from typing import Final

__all__ = ["boundaries"]

_ZWJ: Final = "\u200d"
_EXTENDING_CATEGORIES: Final = frozenset({"Mn", "Me", "Mc"})
# Zero width non-joiner, skin tones, tags of flags, voiced marks of half-width katakana: all belong to what stands before.
_EXTENDING: Final = frozenset(
    ["\u200c", _ZWJ, "\uff9e", "\uff9f", *map(chr, range(0x1F3FB, 0x1F400)), *map(chr, range(0xE0020, 0xE0080))]
)
_PREPENDED: Final = frozenset("\u0600\u0601\u0602\u0603\u0604\u0605\u06dd\u070f\u0890\u0891\u08e2\u0d4e\U000110bd\U000110cd")
_VIRAMA_CLASS: Final = 9


def boundaries(text: str) -> Iterator[int]:
    """Yield each index at which a cluster ends, rising; the last is the length of the text."""
    flags = 0  # regional indicators in a row, up to here
    for index in range(1, len(text)):
        before, after = text[index - 1], text[index]
        flags = flags + 1 if _is_regional(before) else 0
        if not _belongs_together(before, after, flags):
            yield index
    if text:
        yield len(text)


def _belongs_together(before: str, after: str, flags: int) -> bool:
    if after < "\u0300":  # Latin and below: only a line break of two characters and what a joiner or a prefix holds
        return (before == "\r" and after == "\n") or before == _ZWJ or before in _PREPENDED
    if _is_control(before):
        return False
    if after in _EXTENDING or unicodedata.category(after) in _EXTENDING_CATEGORIES:
        return True
    if before == _ZWJ or before in _PREPENDED:
        return True
    if _is_regional(after):
        return flags % 2 == 1
    if unicodedata.combining(before) == _VIRAMA_CLASS:  # GB9c: a conjunct of consonants
        return True
    return _is_hangul_pair(before, after)


def _is_control(char: str) -> bool:
    return char != _ZWJ and char not in _EXTENDING and unicodedata.category(char) in ("Cc", "Zl", "Zp")


def _is_regional(char: str) -> bool:
    return "\U0001f1e6" <= char <= "\U0001f1ff"


def _is_hangul_pair(before: str, after: str) -> bool:
    """GB6 to GB8: leading consonants, vowels and trailing consonants of one syllable."""
    first, second = _hangul(before), _hangul(after)
    return (first, second) in {
        ("L", "L"),
        ("L", "V"),
        ("L", "LV"),
        ("L", "LVT"),
        ("LV", "V"),
        ("LV", "T"),
        ("V", "V"),
        ("V", "T"),
        ("LVT", "T"),
        ("T", "T"),
    }


def _hangul(char: str) -> str:
    code = ord(char)
    if 0xAC00 <= code <= 0xD7A3:
        return "LVT" if (code - 0xAC00) % 28 else "LV"
    if 0x1100 <= code <= 0x115F or 0xA960 <= code <= 0xA97C:
        return "L"
    if 0x1160 <= code <= 0x11A7 or 0xD7B0 <= code <= 0xD7C6:
        return "V"
    if 0x11A8 <= code <= 0x11FF or 0xD7CB <= code <= 0xD7FB:
        return "T"
    return ""
