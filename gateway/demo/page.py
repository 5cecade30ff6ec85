"""The page's files, read once, and the headers that they travel with.

Only what lies in `static/` under a known ending exists; a path is looked up in a dict and never joined to a folder.
"""

from collections.abc import Mapping
from importlib import resources
from typing import Final

import msgspec

from gateway.web_headers import page_headers

__all__ = ["PageFile", "headers_at", "read_page_files"]

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


def read_page_files(package: str = __package__) -> dict[str, PageFile]:
    """Read every file of a package's page, by its name. Called while the server is put together, so it may block."""
    return {
        entry.name: PageFile(entry.read_bytes(), _CONTENT_TYPES[ending])
        for entry in resources.files(package).joinpath("static").iterdir()
        if (ending := f".{entry.name.rpartition('.')[2]}") in _CONTENT_TYPES
    }


def headers_at(host: str) -> dict[str, str]:
    """Make the headers of a page file. `host` is the request's `Host`, already known to be loopback.

    The socket's address is spelt out because not every browser lets `'self'` cover ws: (CSP level 3, §6.7.2.8).
    """
    return page_headers(script="'self'", style="'self'", img="'self'", connect=f"'self' ws://{host} wss://{host}")
