"""Styles of HTML mails, written to the elements: many mail programs drop style sheets, all of them keep attributes."""

import re
from typing import Final

import css_inline

from broker.rendering.html_tokens import tokens_of

__all__ = ["MAX_ELEMENTS", "Unstylable", "inline_styles"]

# The parser behind it goes down a level of the stack per nested element, and a stack that ends takes the process with it:
# 8,000 levels fit one of 8 MB. However the text reads, it cannot nest deeper than it has opening tags.
MAX_ELEMENTS: Final = 2000
_MAX_STYLES_CHARS: Final = 16 * 1024
_MAX_HTML_CHARS: Final = 256 * 1024
_OPENING: Final = re.compile(r"<[A-Za-z]")
_STYLES: Final = re.compile(r"<style\b.*?(?:</style|\Z)", re.IGNORECASE | re.DOTALL)
# Rules for screens stay in the head, where those programs that know them look; nothing is ever fetched.
_INLINER: Final = css_inline.CSSInliner(keep_at_rules=True, load_remote_stylesheets=False)
_FRAGMENT: Final = re.compile(r"<(!doctype|html)\b", re.IGNORECASE)


class Unstylable(Exception):
    """It is more than a mail may be; the text is the rule that it breaks."""


def inline_styles(html: str) -> str:
    """Write the rules of `<style>` to the elements that they are for, and make a whole page of a part of one.

    Blocks for some milliseconds.

    Raises:
        Unstylable: It has too many elements or styles.
    """
    if len(_OPENING.findall(html)) > MAX_ELEMENTS:
        raise Unstylable(f"has more than {MAX_ELEMENTS} elements")
    if sum(map(len, _STYLES.findall(html))) > _MAX_STYLES_CHARS:
        raise Unstylable(f"has more than {_MAX_STYLES_CHARS} characters of styles")
    if not _FRAGMENT.search(html):
        html = f'<!doctype html><html><head><meta charset="utf-8"></head><body>{html}</body></html>'
    try:
        styled: str = _INLINER.inline(html)
    except css_inline.InlineError as exc:
        raise Unstylable("has styles that cannot be read") from exc
    if len(styled) > _MAX_HTML_CHARS:
        raise Unstylable("becomes too long when its styles are written to its elements")
    return _guarded(styled)


def _guarded(html: str) -> str:
    """Escape angle brackets in attributes as well. HTML does not ask for it, but whoever reads a mail by simpler rules would
    take what a variable brought there for an element."""
    parts, at = [], 0
    for token in tokens_of(html):
        if token.kind == "start" and ("<" in token.rest or ">" in token.rest):
            parts += [html[at : token.rest_at], token.rest.replace("<", "&lt;").replace(">", "&gt;")]
            at = token.rest_at + len(token.rest)
    return "".join((*parts, html[at:]))
