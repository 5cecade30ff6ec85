"""Headers that keep browsers from doing more with our answers than they are for: the one place that knows them.

An answer that says nothing of its own gets the strictest of all (`SecuredApp`): nothing may be loaded, framed, guessed, kept
or embedded. A page loosens what it needs, by `page_headers`. Streams to clients pass by untouched: no browser shows them, and
every publication would pay.
"""

import base64
import hashlib
from typing import Any, Final

from gateway.api.endpoint import Receive, Scope, Send

__all__ = ["SecuredApp", "page_headers", "style_hash"]

_STRICT: Final = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",  # for browsers that do not know frame-ancestors
}
_RAW: Final = tuple((name.lower().encode(), value.encode()) for name, value in _STRICT.items())
_STREAMS: Final = "/connection/"


def page_headers(*, cache: str = "no-cache", forms: bool = False, **sources: str) -> dict[str, str]:
    """Make the headers of a page that may load something.

    Args:
        cache: What others may keep.
        forms: Whether it may post to where it came from.
        sources: By kind (`script`, `style`, `img`, `connect`, …) what may be loaded, as a policy writes it (CSP level 3, §2.3).
    """
    allowed = "".join(f"{kind}-src {allowed}; " for kind, allowed in sources.items())
    form = "'self'" if forms else "'none'"
    policy = f"default-src 'none'; {allowed}base-uri 'none'; form-action {form}; frame-ancestors 'none'"
    return {**_STRICT, "Cache-Control": cache, "Content-Security-Policy": policy}


def style_hash(style: str) -> str:
    """Name a style that stands in a page by what it says (CSP level 3, §6.7.2), so that no other one counts."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()}'"


class SecuredApp:
    """Adds the strict headers to whatever an application answers, where it says nothing else."""

    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"].startswith(_STREAMS):
            await self._app(scope, receive, send)
            return

        async def secured(message: Any) -> None:
            if message["type"] == "http.response.start":
                given = message.get("headers", ())
                names = {name.lower() for name, _ in given}
                message = {**message, "headers": [*given, *(pair for pair in _RAW if pair[0] not in names)]}
            await send(message)

        await self._app(scope, receive, secured)
