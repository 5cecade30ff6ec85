"""A call over HTTP as values: what is asked, and what is answered."""

from collections.abc import Mapping

import msgspec

__all__ = ["HttpRequest", "HttpResponse"]


class HttpRequest(msgspec.Struct, frozen=True):
    """A POST. `pinned` holds libcurl RESOLVE entries ("host:port:address,…"): addresses that were checked already."""

    url: str
    headers: Mapping[str, str]
    body: bytes
    timeout_s: float
    pinned: tuple[str, ...] = ()


class HttpResponse(msgspec.Struct, frozen=True):
    """An answer; `lines` are its header lines as they came, read only when somebody asks."""

    status: int
    body: bytes = b""
    lines: tuple[bytes, ...] = ()

    def header(self, name: str) -> str:
        """Read a header, whatever its case; empty when it is absent."""
        wanted = name.lower().encode()
        for line in reversed(self.lines):
            key, _, value = line.partition(b":")
            if key.strip().lower() == wanted:
                return value.strip().decode("latin-1")
        return ""
