"""Links that tell of a click and lead on: the address that a mail or a browser's notification opens in place of the real one.

A token names a notification and where it leads, both bound by an HMAC: whoever has it can record one click and go where the
sender meant, and nobody can make one that leads elsewhere. It names no user. The target travels in it, so that a click still
arrives when the notification itself has been removed, or the store does not answer.
"""

import base64
import binascii
import hashlib
import hmac
import re
from typing import Final, Self
from urllib.parse import urlsplit

import msgspec

from broker.errors import NotFound
from config.click_settings import ClickSettings

__all__ = ["PATH", "Click", "ClickLinks"]

PATH: Final = "/c/"
_MAC_BYTES: Final = 16
_SCHEMES: Final = ("http", "https")
_TOKEN: Final = re.compile(r"[A-Za-z0-9_-]{24,8192}")


class Click(msgspec.Struct, frozen=True):
    """Which notification was clicked, and where that leads."""

    notification_id: str
    target: str


class ClickLinks:
    """Makes and opens links; the first secret signs, every one opens."""

    def __init__(self, public_url: str, secrets: tuple[bytes, ...], hosts: tuple[str, ...] = ()) -> None:
        self._prefix = f"{public_url}{PATH}"
        self._keys = [hashlib.sha256(b"heliograph click\0" + secret).digest() for secret in secrets]
        self._hosts = frozenset(host.lower() for host in hosts)

    @classmethod
    def of(cls, settings: ClickSettings) -> Self | None:
        """Make them as the settings say; None where clicks are not tracked."""
        if not settings.enabled:
            return None
        return cls(settings.public_url, settings.secrets, settings.hosts)

    def address(self, notification_id: str, target: str) -> str:
        """Tell the address that stands for `target`; the target itself where it is not one that is tracked."""
        if not self._is_tracked(target):
            return target
        named = f"{notification_id}\0{target}".encode()
        return self._prefix + base64.urlsafe_b64encode(_mac(self._keys[0], named) + named).rstrip(b"=").decode()

    def open(self, token: str) -> Click:
        """Read a token.

        Raises:
            NotFound: It is none of ours, or was cut off.
        """
        if not _TOKEN.fullmatch(token):
            raise NotFound("link")
        try:
            raw = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
        except binascii.Error:
            raise NotFound("link") from None
        mac, named = raw[:_MAC_BYTES], raw[_MAC_BYTES:]
        if not any(hmac.compare_digest(mac, _mac(key, named)) for key in self._keys):
            raise NotFound("link")
        notification_id, _, target = named.decode().partition("\0")
        return Click(notification_id, target)

    def _is_tracked(self, target: str) -> bool:
        """Whether it is an address of the web, on one of the hosts where there are any; an app's own scheme opens an app."""
        try:
            parts = urlsplit(target)
            host = (parts.hostname or "").lower()
        except ValueError:
            return False
        return parts.scheme.lower() in _SCHEMES and bool(host) and (not self._hosts or host in self._hosts)


def _mac(key: bytes, named: bytes) -> bytes:
    return hmac.digest(key, named, "sha256")[:_MAC_BYTES]
