"""Where the page may be: whether a request came to a place where it is safe to ask for a password, and from the page itself.

A password and a session cookie travel over TLS, or to this machine and no further. Whether a proxy in front of us ends TLS
cannot be known from a request, so the settings say it (`admin.origin`).
"""

import re
from collections.abc import Mapping
from typing import Final

import msgspec

from config.settings import Settings
from gateway.demo.loopback import is_loopback_host

__all__ = ["Place", "Surroundings", "is_own_page"]

# RFC 9110 §7.2; what goes into a content policy must not be able to add to it.
_HOST: Final = re.compile(r"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]+)(?::[0-9]{1,5})?")


class Place(msgspec.Struct, frozen=True):
    """Where a request found the page."""

    origin: str

    @property
    def is_secure(self) -> bool:
        return self.origin.startswith("https:")

    @property
    def socket_origin(self) -> str:
        """The same for WebSockets."""
        return "ws" + self.origin.removeprefix("http")

    @property
    def cookie(self) -> str:
        """Name the cookie: over TLS by a prefix that ties it to this host (RFC 6265bis §4.1.3.2); else by its port,
        for browsers give cookies of one port to every other one of this machine."""
        return "__Host-heliograph" if self.is_secure else f"heliograph-{self.origin.rpartition(':')[2].strip('/]')}"


class Surroundings:
    """Judges requests by the settings.

    Args:
        origin: Where browsers find the page; "" for wherever this process is asked.
    """

    def __init__(self, origin: str) -> None:
        self._origin = origin

    def place_of(self, scheme: str, host: str) -> Place | None:
        """Tell where the page was asked for; None where nobody should type a password."""
        if self._origin:
            return Place(self._origin)
        if _HOST.fullmatch(host) is None:
            return None
        # Plain HTTP is for this machine alone; and a foreign name that was pointed at it (DNS rebinding) is not this machine.
        if scheme != "https" and not is_loopback_host(host):
            return None
        return Place(f"{'https' if scheme == 'https' else 'http'}://{host.lower()}")

    def is_own(self, place: Place, headers: Mapping[str, str]) -> bool:
        """Tell whether a request that acts came from the page: browsers say so in two ways, and both must hold where given."""
        site = headers.get("sec-fetch-site")
        return headers.get("origin", "").lower() == place.origin and site in (None, "same-origin")


def is_own_page(origin: str, host: str, settings: Settings) -> bool:
    """Tell whether a WebSocket's `Origin` is that of the operator's page, whatever pages of applications may connect.

    Nothing is given by it: a connection is somebody's by its token alone, and cookies count for none.
    """
    if not settings.admin.enabled:
        return False
    scheme = "https" if settings.http.tls.is_on else "http"
    place = Surroundings(settings.admin.origin).place_of(scheme, host)
    return place is not None and origin.lower() == place.origin
