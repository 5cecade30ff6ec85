"""What an HTML mail says to those who read it as text."""

import re
from typing import Final

from broker.rendering.html_tokens import Token, tokens_of

__all__ = ["text_of_html"]

_HIDDEN: Final = frozenset({"head", "template", "noscript", "svg"})
_BLOCKS: Final = frozenset(
    {"address", "article", "blockquote", "div", "dl", "footer", "form", "h1", "h2", "h3", "h4", "h5", "h6", "header", "hr"}
    | {"main", "ol", "p", "pre", "section", "table", "ul"}
)
_LINES: Final = frozenset({"br", "tr", "li", "dt", "dd"})
_BLANKS: Final = re.compile(r"[ \t\r\n\f]+")
_ADDRESSES: Final = ("https://", "http://", "mailto:")


class _Reader:
    def __init__(self) -> None:
        self.parts: list[str] = []
        self._hidden = 0
        self._link = ""
        self._link_from = 0

    def read(self, token: Token) -> None:
        if token.name in _HIDDEN and token.kind != "text":
            self._hidden = max(0, self._hidden + (1 if token.kind == "start" else -1))
        elif self._hidden:
            return
        elif token.kind == "text":
            self.parts.append(_BLANKS.sub(" ", token.name))
        elif token.kind == "start":
            self._open(token)
        elif token.name in _BLOCKS:
            self.parts.append("\n\n")
        elif token.name == "a":
            self.close_link()

    def _open(self, token: Token) -> None:
        if token.name in _BLOCKS:
            self.parts.append("\n\n")
        elif token.name in _LINES:
            self.parts.append("\n- " if token.name == "li" else "\n")
        elif token.name in ("td", "th"):
            self.parts.append(" ")
        elif token.name == "img":
            self.parts.append(token.attributes().get("alt", ""))
        elif token.name == "a":
            self.close_link()  # links do not stand within links
            self._link, self._link_from = token.attributes().get("href", ""), len(self.parts)

    def close_link(self) -> None:
        """Name the address behind the words that lead to it."""
        address, self._link = self._link, ""
        if address.lower().startswith(_ADDRESSES):
            shown = "".join(self.parts[self._link_from :]).strip()
            if shown != address:
                self.parts.append(f" ({address})" if shown else address)


def text_of_html(html: str) -> str:
    """Read HTML as text: paragraphs apart by an empty line, links behind their words, pictures by what stands for them."""
    reader = _Reader()
    for token in tokens_of(html):
        reader.read(token)
    reader.close_link()
    lines = [line.strip() for line in "".join(reader.parts).split("\n")]
    return re.sub(r"\n{3,}", "\n\n", re.sub(r" {2,}", " ", "\n".join(lines))).strip()
