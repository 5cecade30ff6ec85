"""The picture that tells that a mail was shown: its address names a notification, signed, and nobody.

It tells of a program that fetched it, not of a person who read: so it is less than seen, and off until switched on (N-29).
"""

from typing import Final, Self

from broker.signed_tokens import SignedTokens
from config.click_settings import OpenSettings

__all__ = ["PATH", "OpenLinks"]

PATH: Final = "/o/"


class OpenLinks:
    """Makes and opens addresses; the first secret signs, every one opens."""

    def __init__(self, public_url: str, secrets: tuple[bytes, ...]) -> None:
        self._prefix = f"{public_url}{PATH}"
        self._tokens = SignedTokens("open", secrets)

    @classmethod
    def of(cls, settings: OpenSettings) -> Self | None:
        """Make them as the settings say; None where mails do not tell that they were shown."""
        return cls(settings.public_url, settings.secrets) if settings.enabled else None

    def address(self, notification_id: str) -> str:
        """Tell the address of a notification's picture."""
        return self._prefix + self._tokens.seal(notification_id.encode())

    def open(self, token: str) -> str:
        """Read which notification a token names.

        Raises:
            NotFound: It is none of ours, or was cut off.
        """
        return self._tokens.open(token).decode()
