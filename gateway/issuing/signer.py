"""Signs access tokens with our own key."""

import math
from datetime import datetime
from typing import Any, Final

import jwt
import msgspec

from broker.token_families import TokenFamily
from config.pem import read_signing_key
from config.token_settings import IssueSettings
from gateway.auth.keys import signing_algorithm

__all__ = ["RESERVED_CLAIMS", "Signer"]

# What only we say, or what would make another kind of token of it.
RESERVED_CLAIMS: Final = frozenset({"iss", "sub", "aud", "exp", "nbf", "iat", "jti", "expire_at", "channel", "client"})


class Signer:
    """Makes the access tokens of families.

    Raises:
        ValueError: The key is none; the check of the settings reports that first.
    """

    def __init__(self, settings: IssueSettings) -> None:
        self._issuer = settings.issuer
        self._key: Any
        self._key, public = read_signing_key(settings.signing_key.get_secret_value())
        self._algorithm = signing_algorithm(public)
        self._jws = jwt.PyJWS()

    def sign(self, family: TokenFamily, at: datetime) -> str:
        """Make the access token that a family has from a moment on.

        `jti` is the family's id, the same in all of its tokens: what is revoked is a login, not a piece of text.
        """
        issued_at = at.timestamp()
        claims: dict[str, Any] = {
            "iss": self._issuer,
            "sub": family.user,
            "iat": math.floor(issued_at),
            "exp": math.ceil(issued_at + family.access_ttl_s),
            "jti": family.id,
            **msgspec.json.decode(family.claims, type=dict[str, msgspec.Raw]),
        }
        return self._jws.encode(msgspec.json.encode(claims), self._key, algorithm=self._algorithm, headers={"typ": "JWT"})
