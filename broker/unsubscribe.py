"""The way out of mails: a link that names user, category and route to us, and to nobody else (N-23).

The link is sealed: what it names is encrypted, so that no address bar, log or relay on its way learns of anybody, and bound to
an HMAC, so that nobody can make one. Both in one construction, a synthetic initialization vector: the HMAC of what is named is
the vector of the cipher, and is computed again from what was decrypted. So the same words always make the same link, no
randomness is needed, and a link never expires (RFC 8058 asks for one that works without cookies, login or a second step).
"""

import base64
import binascii
import hashlib
import hmac
import re
from typing import Final, Self

import msgspec
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from broker.errors import NotFound
from broker.preferences import ANY
from config.content_settings import UnsubscribeSettings

__all__ = ["PATH", "OptOut", "UnsubscribeLinks"]

PATH: Final = "/unsubscribe/"
_TAG_BYTES: Final = 16
_TOKEN: Final = re.compile(r"[A-Za-z0-9_-]{24,4096}")


class OptOut(msgspec.Struct, frozen=True, array_like=True):
    """What a user no longer wants: a category, or "*" for all, on a route."""

    user: str
    category: str
    route: str


class UnsubscribeLinks:
    """Seals and opens links; the first secret seals, every one opens."""

    def __init__(self, public_url: str, secret: bytes, *previous: bytes) -> None:
        self._prefix = f"{public_url}{PATH}"
        self._keys = [_Key(one) for one in (secret, *previous)]

    @classmethod
    def of(cls, settings: UnsubscribeSettings) -> Self | None:
        """Make them as the settings say; None where they say nothing."""
        if not settings.is_configured:
            return None
        previous = settings.previous_secret.get_secret_value().encode()
        return cls(settings.public_url, settings.secret.get_secret_value().encode(), *([previous] if previous else []))

    def address(self, opt_out: OptOut) -> str:
        """Tell the address that does it: ASCII, always the same for the same words."""
        return self._prefix + self.token(opt_out)

    def is_one(self, address: str) -> bool:
        """Whether an address is one of ours."""
        return address.startswith(self._prefix)

    def token(self, opt_out: OptOut) -> str:
        """Seal what is named; without a category, all are meant."""
        if not opt_out.category:
            opt_out = msgspec.structs.replace(opt_out, category=ANY)
        return base64.urlsafe_b64encode(self._keys[0].seal(msgspec.json.encode(opt_out))).rstrip(b"=").decode()

    def open(self, token: str) -> OptOut:
        """Read what a link names.

        Raises:
            NotFound: It is none of ours.
        """
        if not _TOKEN.fullmatch(token):
            raise NotFound("link")
        try:
            sealed = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
        except (binascii.Error, ValueError):
            raise NotFound("link") from None
        for key in self._keys:
            if (opened := key.open(sealed)) is not None:
                return msgspec.json.decode(opened, type=OptOut)
        raise NotFound("link")


class _Key:
    """One secret: a key to sign, and one to encrypt, neither of which tells of the other."""

    def __init__(self, secret: bytes) -> None:
        self._signing = hmac.digest(secret, b"heliograph unsubscribe 1 sign", hashlib.sha256)
        self._encrypting = hmac.digest(secret, b"heliograph unsubscribe 1 encrypt", hashlib.sha256)

    def seal(self, text: bytes) -> bytes:
        tag = self._tag(text)
        return tag + self._crypt(tag, text)

    def open(self, sealed: bytes) -> bytes | None:
        tag, hidden = sealed[:_TAG_BYTES], sealed[_TAG_BYTES:]
        if len(tag) < _TAG_BYTES:
            return None
        text = self._crypt(tag, hidden)
        return text if hmac.compare_digest(tag, self._tag(text)) else None

    def _tag(self, text: bytes) -> bytes:
        return hmac.digest(self._signing, text, hashlib.sha256)[:_TAG_BYTES]

    def _crypt(self, tag: bytes, text: bytes) -> bytes:
        """Encrypt or decrypt, which are one in counter mode."""
        cipher = Cipher(algorithms.AES(self._encrypting), modes.CTR(tag)).encryptor()
        return cipher.update(text) + cipher.finalize()
