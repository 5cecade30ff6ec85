"""The page's files, read once, and the headers that they travel with.

Only what lies in `static/` under a known ending exists; a path is looked up in a dict and never joined to a folder.
"""

from collections.abc import Mapping
from importlib import resources
from typing import Final

import msgspec

__all__ = ["PageFile", "page_headers", "read_page_files"]

_CONTENT_TYPES: Final[Mapping[str, str]] = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}


class PageFile(msgspec.Struct, frozen=True):
    """A file as it is served."""

    body: bytes
    content_type: str


def read_page_files() -> dict[str, PageFile]:
    """Read every file of the page, by its name. Called while the server is put together, so it may block."""
    return {
        entry.name: PageFile(entry.read_bytes(), _CONTENT_TYPES[ending])
        for entry in resources.files(__package__).joinpath("static").iterdir()
        if (ending := f".{entry.name.rpartition('.')[2]}") in _CONTENT_TYPES
    }


def page_headers(host: str) -> dict[str, str]:
    """Make the headers of a page file. `host` is the request's `Host`, already known to be loopback.

    The socket's address is spelt out because not every browser lets `'self'` cover ws: (CSP level 3, §6.7.2.8).
    """
    policy = (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        f"connect-src 'self' ws://{host} wss://{host}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return {
        "Cache-Control": "no-cache",
        "Content-Security-Policy": policy,
        "Cross-Origin-Resource-Policy": "same-origin",
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
    }
