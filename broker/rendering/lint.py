"""What is doubtful about a template before anybody is told anything: more than whether it can be compiled."""

import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Final, Literal

import msgspec

from broker.rendering.compiled import compile_text
from broker.rendering.errors import SyntaxFault, TemplateFault
from broker.rendering.html_tokens import VOID, tokens_of
from broker.rendering.styles import MAX_ELEMENTS
from broker.templates import FIELDS, OWN_VARIABLES, TemplateText

__all__ = ["NOTHING_SHOWN", "Finding", "lint"]

NOTHING_SHOWN: Final = "one of title, body and html must not be empty"
_MAX_DEPTH: Final = 100
_MOST: Final = 100
# Elements that the HTML standard lets end where the next one begins, or with what they stand in.
_SELF_ENDING: Final = frozenset(
    {"body", "dd", "dt", "head", "html", "li", "optgroup", "option", "p", "tbody", "td", "tfoot", "th", "thead", "tr"}
)
_RUNNING: Final = frozenset({"script", "iframe", "object", "embed", "form"})


class Finding(msgspec.Struct, frozen=True):
    """One thing, by its place: an `error` keeps the template from being used, a `warning` is probably not meant."""

    severity: Literal["error", "warning"]
    field: str
    line: int
    rule: str


def lint(text: TemplateText, declared: Iterable[str] | None = None) -> list[Finding]:
    """Look a template over.

    Args:
        declared: The variables that requests will give; every other one that the template names is an error. None asks for
            nothing of the kind.
    Returns:
        What was found, in the order of the fields, then of lines.
    """
    known = None if declared is None else frozenset(declared) | OWN_VARIABLES.keys()
    found: list[Finding] = []
    if not (text.title or text.body or text.html):
        found.append(Finding("error", "title", 0, NOTHING_SHOWN))
    for field in FIELDS:
        if source := getattr(text, field):
            found += _findings(field, source, known)
    if declared is not None:
        found += _unused(text, frozenset(declared))
    return found


def _findings(field: str, source: str, known: frozenset[str] | None) -> Iterator[Finding]:
    try:
        compiled = compile_text(TemplateText(**{field: source}))
    except SyntaxFault as exc:
        yield _of_fault(exc)
        return
    if known is not None:
        for name in sorted(compiled.needs - known):
            yield Finding("error", field, _line_of(source, name), f"names the variable {name!r}, which is not declared")
    if field == "html":
        yield from sorted(islice(_html_findings(source), _MOST), key=lambda finding: finding.line)
    elif field == "title" and "\n" in source.strip():
        yield Finding("warning", field, 1, "has several lines: titles are shown in one")


def _unused(text: TemplateText, declared: frozenset[str]) -> Iterator[Finding]:
    try:
        needs = compile_text(text).needs
    except SyntaxFault:
        return
    for name in sorted(declared - needs):
        yield Finding("warning", "variables", 0, f"declares {name!r}, which no field uses")


def _of_fault(fault: TemplateFault) -> Finding:
    return Finding("error", fault.field, fault.line, fault.rule)


def _line_of(source: str, name: str) -> int:
    found = re.search(rf"\b{re.escape(name)}\b", source)
    return source.count("\n", 0, found.start()) + 1 if found else 0


def _html_findings(source: str) -> Iterator[Finding]:
    """Look HTML over as it is written: what a template only writes sometimes is seen as if it always did."""
    open_tags: list[tuple[str, int]] = []
    count = 0
    ends = [match.start() for match in re.finditer("\n", source)]
    for token in tokens_of(source):
        line = bisect_left(ends, token.at) + 1
        if token.kind == "start":
            count += 1
            attributes = token.attributes()
            if token.name in _RUNNING:
                yield Finding("warning", "html", line, f"<{token.name}> is taken out by mail programs")
            if any(name.startswith("on") for name in attributes):
                yield Finding("warning", "html", line, f"<{token.name}> has a script, which mail programs take out")
            if token.name == "img" and "alt" not in attributes:
                yield Finding("warning", "html", line, "<img> has no alt, which the text part and screen readers need")
            if token.name not in VOID and not token.rest.rstrip().endswith("/"):
                open_tags.append((token.name, line))
                if len(open_tags) > _MAX_DEPTH:
                    yield Finding("error", "html", line, f"nests more than {_MAX_DEPTH} elements")
                    return
        elif token.kind == "end":
            yield from _close(open_tags, token.name, line)
    for name, line in open_tags:
        if name not in _SELF_ENDING:
            yield Finding("error", "html", line, f"<{name}> is never closed")
    if count > MAX_ELEMENTS:
        yield Finding("error", "html", 0, f"has more than {MAX_ELEMENTS} elements")


def _close(open_tags: list[tuple[str, int]], name: str, line: int) -> Iterator[Finding]:
    """Take the element off that an end tag closes, and those that stand open within."""
    if name in VOID:
        yield Finding("warning", "html", line, f"</{name}> closes what has no end")
        return
    index = next((index for index in reversed(range(len(open_tags))) if open_tags[index][0] == name), None)
    if index is None:
        yield Finding("error", "html", line, f"</{name}> closes nothing")
        return
    for inner, inner_line in open_tags[index + 1 :]:
        if inner not in _SELF_ENDING:
            yield Finding("error", "html", inner_line, f"<{inner}> is never closed")
    del open_tags[index:]
