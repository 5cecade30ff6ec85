"""What of a request tells that a program looked ahead, and no person is there.

What cannot be told apart: scanners of mail that open every link and picture like a browser. Apple's Mail Privacy Protection
fetches every picture when a mail arrives, read or not, and names itself by the first words of every browser alone, so that
nothing it fetches counts. Gmail, Yahoo and others fetch through proxies, mostly when a person looks, and some ahead: what those
fetch within seconds of the sending is taken for the latter.
"""

import re
from typing import Final

from starlette.requests import Request

__all__ = ["is_machine", "is_picture_proxy", "looks_ahead"]

# Names of programs that no person looks through: libraries, crawlers, and scanners that say who they are.
_MACHINES: Final = re.compile(
    r"(?<!cu)bot\b|crawl|spider|scan|preview|monitor|headless|barracuda|proofpoint|mimecast|curl/|wget/|python|go-http-client|java/|okhttp",
    re.IGNORECASE,
)
# Apple's proxy, which fetches whatever arrives.
_APPLE: Final = "Mozilla/5.0"
_PICTURE_PROXIES: Final = re.compile(r"GoogleImageProxy|YahooMailProxy|ggpht\.com", re.IGNORECASE)


def looks_ahead(request: Request) -> bool:
    """Whether a browser says that it fetches in advance (the header `Sec-Purpose`, formerly `Purpose`)."""
    purpose = request.headers.get("sec-purpose") or request.headers.get("purpose") or ""
    return "prefetch" in purpose.lower() or "preview" in purpose.lower()


def is_machine(request: Request) -> bool:
    """Whether a picture is fetched by what no person looks through, as far as it says so; what says nothing is one too."""
    agent = request.headers.get("user-agent", "").strip()
    return agent in ("", _APPLE) or _MACHINES.search(agent) is not None


def is_picture_proxy(request: Request) -> bool:
    """Whether a mail service fetches a picture, be it for a person or ahead."""
    return _PICTURE_PROXIES.search(request.headers.get("user-agent", "")) is not None
