"""VAPID (RFC 8292): who sends, told to each push service with a signed token."""

import base64
from collections import OrderedDict
from datetime import datetime, timedelta
from typing import Final

import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

__all__ = ["Vapid"]

# At most 24 hours are allowed (§2).
_LIFETIME: Final = timedelta(hours=12)
_RENEW_AFTER: Final = timedelta(hours=10)
_ORIGINS: Final = 256


class Vapid:
    """One key; tokens are signed once per origin and used for hours, because signing costs as much as sending."""

    def __init__(self, key: ec.EllipticCurvePrivateKey, subject: str) -> None:
        self._key = key
        self._subject = subject
        point = key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        self.public_key = base64.urlsafe_b64encode(point).rstrip(b"=").decode()
        self._signed: OrderedDict[str, tuple[datetime, str]] = OrderedDict()

    def authorization(self, origin: str, now: datetime) -> str:
        """Give the header's value for a push service, such as "https://push.example"."""
        signed_at, value = self._signed.get(origin, (None, ""))
        if signed_at is not None and timedelta(0) <= now - signed_at < _RENEW_AFTER:
            return value
        claims = {"aud": origin, "exp": int((now + _LIFETIME).timestamp()), "sub": self._subject}
        value = f"vapid t={jwt.encode(claims, self._key, algorithm='ES256')}, k={self.public_key}"
        self._signed[origin] = (now, value)
        self._signed.move_to_end(origin)
        while len(self._signed) > _ORIGINS:
            self._signed.popitem(last=False)
        return value
