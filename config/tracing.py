"""Traces as the rest of the project sees them: spans that begin below others, and texts that carry them between processes.

What writes them stands in `config/tracing_sdk.py` and is imported only where tracing is on. Everybody else knows this module,
which knows no library: where nothing is traced there is never a current span, so that asking for it is all that tracing costs.

A span travels as the text of W3C's `traceparent`. It is kept beside what it caused (in an envelope, with a notification), and
only where it is sampled: whoever finds one may begin spans below it. A notification may be told hours later. Spans that begin
more than an hour after the request would stretch its trace over days, which backends neither draw nor keep in one piece; so
those begin a trace of their own with a link to the request. The same holds for what is made of something else and is no step of
it: digests, escalations, the pages of campaigns. Their text says so itself (`linked`).
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime, timedelta
from enum import Enum
from typing import Final, NamedTuple, Protocol

__all__ = [
    "HEADERS",
    "NO_TRACING",
    "Attribute",
    "Kind",
    "NoTracing",
    "Origin",
    "Span",
    "Tracing",
    "activate",
    "active",
    "below",
    "carried",
    "checked",
    "current",
    "follow",
    "linked",
    "stored",
]

Attribute = str | int | float | bool

# What carries a span over HTTP.
HEADERS: Final = frozenset({"traceparent", "tracestate"})
# So long after a request, what it causes still belongs to its trace.
_TOGETHER: Final = timedelta(hours=1)
_LINK: Final = "link "
_MOST_LINKS: Final = 32
# https://www.w3.org/TR/trace-context/#traceparent-header: a later version may add fields, and ff is none.
_TRACEPARENT: Final = re.compile(r"(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_LONGEST: Final = 512


class Kind(Enum):
    """On which side of which call a span stands; the names are those of OpenTelemetry."""

    INTERNAL = "internal"
    SERVER = "server"
    CLIENT = "client"
    PRODUCER = "producer"
    CONSUMER = "consumer"


class Span(Protocol):
    """Something that takes time. Ended once; what is said after that is lost."""

    @property
    def traceparent(self) -> str:
        """How it travels, sampled or not."""

    @property
    def tracestate(self) -> str:
        """What vendors added on the way; empty for nothing."""

    @property
    def is_sampled(self) -> bool:
        """Whether it is written; those below it are then, too."""

    @property
    def ids(self) -> tuple[str, str]:
        """Of its trace and of itself, in hex."""

    def begin(self, name: str, kind: Kind = Kind.INTERNAL, attributes: Mapping[str, Attribute] | None = None) -> "Span":
        """Begin a span below it."""

    def note(self, attributes: Mapping[str, Attribute]) -> None:
        """Say more. No personal data: no users, channels, addresses or contents."""

    def fail(self, reason: str) -> None:
        """Say that it went wrong; `reason` is a code or the name of a class."""

    def end(self, at: datetime | None = None) -> None:
        """It is over, now or since a moment."""


class Tracing(Protocol):
    """What begins traces."""

    @property
    def is_on(self) -> bool:
        """Whether there is any use in asking; fixed for the life of the process."""

    def begin(
        self,
        name: str,
        kind: Kind = Kind.INTERNAL,
        *,
        parent: str = "",
        tracestate: str = "",
        links: Sequence[str] = (),
        attributes: Mapping[str, Attribute] | None = None,
        began_at: datetime | None = None,
    ) -> Span:
        """Begin a span.

        Args:
            parent: The `traceparent` that it is below; without one, or with one that cannot be read, it begins a trace.
            links: Other spans that it has to do with; a trace that begins is sampled where one of them is.
            began_at: When it began, if that was before now.
        """

    async def close(self) -> None:
        """Send what waits, within a bounded time."""


class NoTracing:
    """Tracing that is off: nobody is expected to ask it for spans."""

    is_on: Final = False

    def begin(
        self,
        name: str,
        kind: Kind = Kind.INTERNAL,
        *,
        parent: str = "",
        tracestate: str = "",
        links: Sequence[str] = (),
        attributes: Mapping[str, Attribute] | None = None,
        began_at: datetime | None = None,
    ) -> Span:
        raise AssertionError("tracing is off: look at is_on first")

    async def close(self) -> None:
        """There is nothing to close."""


NO_TRACING: Final = NoTracing()

_CURRENT: Final[ContextVar[Span | None]] = ContextVar("span", default=None)


class Origin(NamedTuple):
    """How a span begins that is caused by something that was stored: below it, or linked to it."""

    parent: str = ""
    links: tuple[str, ...] = ()


def current() -> Span | None:
    """Tell the span that what runs here belongs to; None where nothing is traced."""
    return _CURRENT.get()


def activate(span: Span) -> None:
    """Make a span the current one from here on in this context; for contexts that are made for it."""
    _CURRENT.set(span)


@contextmanager
def active(span: Span) -> Iterator[None]:
    """Make a span the current one meanwhile; for code that is not stepped by hand (see `broker.caller`)."""
    token = _CURRENT.set(span)
    try:
        yield
    finally:
        _CURRENT.reset(token)


def below(name: str, kind: Kind = Kind.INTERNAL, attributes: Mapping[str, Attribute] | None = None) -> Span | None:
    """Begin a span below the current one; None where nothing is traced."""
    span = _CURRENT.get()
    return None if span is None else span.begin(name, kind, attributes)


def carried(span: Span | None) -> dict[str, str]:
    """Make the headers that carry a span to the other side of a call; none for none."""
    if span is None:
        return {}
    headers = {"traceparent": span.traceparent}
    return {**headers, "tracestate": span.tracestate} if span.tracestate else headers


def stored() -> str:
    """Tell what is to be kept beside what is done now; empty where that is not written anyway."""
    span = _CURRENT.get()
    return span.traceparent if span is not None and span.is_sampled else ""


def linked(*traces: str) -> str:
    """Make of stored texts one whose followers begin traces of their own, linked to all of them; empty where all are."""
    origins = dict.fromkeys(origin for trace in traces for origin in trace.removeprefix(_LINK).split())
    return _LINK + " ".join(list(origins)[-_MOST_LINKS:]) if origins else ""


def follow(trace: str, *, since: datetime, now: datetime) -> Origin:
    """Tell how a span begins that is caused by what was stored with `trace` at the moment `since`."""
    if trace.startswith(_LINK):
        return Origin(links=tuple(trace.removeprefix(_LINK).split()))
    return Origin(parent=trace) if now - since <= _TOGETHER else Origin(links=(trace,))


def checked(traceparent: str) -> str:
    """Give back what can be read of a `traceparent` from outside, in the version that we speak; else nothing."""
    found = _TRACEPARENT.fullmatch(traceparent.strip()) if len(traceparent) <= _LONGEST else None
    if found is None or (found[1] == "00" and found[5]):
        return ""
    return f"00-{found[2]}-{found[3]}-{int(found[4], 16) & 1:02x}"
