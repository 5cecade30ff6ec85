"""Tokens that anybody may read and nobody can make: an HMAC and what it signs, fit for an address."""

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Sequence
from typing import Final

from broker.errors import NotFound

__all__ = ["MAX_TOKEN", "SignedTokens"]

MAX_TOKEN: Final = 8192
_MAC_BYTES: Final = 16
_TOKEN: Final = re.compile(rf"[A-Za-z0-9_-]{{24,{MAX_TOKEN}}}")


class SignedTokens:
    """Tokens for one purpose, whose keys open none of another; the first secret signs, every one opens."""

    def __init__(self, purpose: str, secrets: Sequence[bytes]) -> None:
        self._keys = [hashlib.sha256(b"heliograph %b\0" % purpose.encode() + secret).digest() for secret in secrets]

    def seal(self, named: bytes) -> str:
        """Make the token of what is named, always the same; one longer than `MAX_TOKEN` opens nothing."""
        return base64.urlsafe_b64encode(_mac(self._keys[0], named) + named).rstrip(b"=").decode()

    def open(self, token: str) -> bytes:
        """Read what a token names.

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
        return named


def _mac(key: bytes, named: bytes) -> bytes:
    return hmac.digest(key, named, "sha256")[:_MAC_BYTES]
