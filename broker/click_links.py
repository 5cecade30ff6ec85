"""Links that tell of a click and lead on: the address that a mail or a browser's notification opens in place of the real one.

A token names a notification, which of its links it is, and where it leads, all bound by an HMAC: whoever has it can record one
click and go where the sender meant, and nobody can make one that leads elsewhere. It names no user. The target travels in it,
so that a click still arrives when the notification itself has been removed, or the store does not answer.
"""

from typing import Final, Self
from urllib.parse import urlsplit

import msgspec

from broker.signed_tokens import MAX_TOKEN, SignedTokens
from config.click_settings import ClickSettings

__all__ = ["OWN_LINK", "PATH", "Click", "ClickLinks"]

PATH: Final = "/c/"
# The number of the notification's own link; those in a mail's HTML follow from 1 on.
OWN_LINK: Final = 0
_SCHEMES: Final = ("http", "https")


class Click(msgspec.Struct, frozen=True):
    """Which notification was clicked, where that leads, and the number of the link."""

    notification_id: str
    target: str
    link: int = OWN_LINK


class ClickLinks:
    """Makes and opens links; the first secret signs, every one opens."""

    def __init__(self, public_url: str, secrets: tuple[bytes, ...], hosts: tuple[str, ...] = ()) -> None:
        self._prefix = f"{public_url}{PATH}"
        self._tokens = SignedTokens("click", secrets)
        self._hosts = frozenset(host.lower() for host in hosts)

    @classmethod
    def of(cls, settings: ClickSettings) -> Self | None:
        """Make them as the settings say; None where clicks are not tracked."""
        if not settings.enabled:
            return None
        return cls(settings.public_url, settings.secrets, settings.hosts)

    def address(self, notification_id: str, target: str, link: int = OWN_LINK) -> str:
        """Tell the address that stands for `target`; the target itself where it is not one that is tracked."""
        if not self._is_tracked(target):
            return target
        # As it was before links had numbers, so that those in older mails open too. No id holds a "#".
        name = f"{notification_id}#{link}" if link else notification_id
        token = self._tokens.seal(f"{name}\0{target}".encode())
        return self._prefix + token if len(token) <= MAX_TOKEN else target

    def open(self, token: str) -> Click:
        """Read a token.

        Raises:
            NotFound: It is none of ours, or was cut off.
        """
        name, _, target = self._tokens.open(token).decode().partition("\0")
        notification_id, _, link = name.partition("#")
        return Click(notification_id, target, int(link or OWN_LINK))

    def _is_tracked(self, target: str) -> bool:
        """Whether it is an address of the web, on one of the hosts where there are any, and does not lead over us already; an
        app's own scheme opens an app."""
        try:
            parts = urlsplit(target)
            host = (parts.hostname or "").lower()
        except ValueError:
            return False
        if parts.scheme.lower() not in _SCHEMES or not host or target.startswith(self._prefix):
            return False
        return not self._hosts or host in self._hosts
