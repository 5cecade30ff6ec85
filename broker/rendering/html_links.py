"""The links of a mail's HTML, found and led elsewhere; everything else stays as it was written, to the character."""

import html
from collections.abc import Callable
from functools import lru_cache
from typing import Final

import msgspec

from broker.rendering.html_tokens import tokens_of

__all__ = ["UNTRACKED", "Link", "lead_links", "links_of"]

# Who writes it into a link leaves it as it is.
UNTRACKED: Final = "data-heliograph-untracked"
_LINKS: Final = frozenset({"a", "area"})
_WEB: Final = ("http:", "https:")
# A template's text is the same for many who get it.
_REMEMBERED: Final = 16


class Link(msgspec.Struct, frozen=True):
    """A link to an address of the web: its number in the text, from 1 on; where its address stands, quotes included; and the
    address. One that is not `is_open` asks to be left alone."""

    number: int
    start: int
    end: int
    target: str
    is_open: bool


@lru_cache(_REMEMBERED)
def links_of(source: str) -> tuple[Link, ...]:
    """Find the links in the order of the text. What lies in comments, also in those that some programs obey, is none."""
    found: list[Link] = []
    for token in tokens_of(source):
        if token.kind != "start" or token.name not in _LINKS or (place := token.place_of("href")) is None:
            continue
        attributes = token.attributes()
        target = attributes["href"].strip()
        if target.lower().startswith(_WEB):
            found.append(Link(len(found) + 1, *place, target, UNTRACKED not in attributes))
    return tuple(found)


def lead_links(source: str, lead: Callable[[int, str], str]) -> str:
    """Put other addresses in the place of links.

    Args:
        lead: Told the number and the address of a link; gives the new one, or the same to leave it.
    """
    parts, at = [], 0
    for link in links_of(source):
        led = lead(link.number, link.target) if link.is_open else link.target
        if led != link.target:
            parts += [source[at : link.start], f'"{html.escape(led)}"']
            at = link.end
    return "".join((*parts, source[at:]))
