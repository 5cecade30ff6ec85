"""Errors of tokens, by what the client must do next. No text quotes a token.

TokenError
├── InvalidToken        the token will never pass: disconnect 3500, on subscribe error 103
└── TokenExpired        another token may pass: error 109, upon which clients fetch a fresh one
    └── TokenRevoked    its time is not over, but it is no longer trusted; answered like an expired one

Beside them stands `key_source.KeysUnavailable`: whether a token is good cannot be known now (error 100, temporary).
"""

from enum import StrEnum

__all__ = ["Check", "InvalidToken", "TokenError", "TokenExpired", "TokenRevoked"]


class Check(StrEnum):
    """Which check failed, for whoever explains it."""

    FORM = "form"
    KEY = "key"
    SIGNATURE = "signature"
    ISSUER = "issuer"
    AUDIENCE = "audience"
    CLAIMS = "claims"
    EXPIRED = "expired"
    NOT_YET = "not_yet"
    REVOKED = "revoked"


class TokenError(Exception):
    """A token that does not let anybody in; the text names the check that failed."""

    def __init__(self, text: str, check: Check = Check.CLAIMS) -> None:
        super().__init__(text)
        self.check = check


class InvalidToken(TokenError):
    """Malformed, not signed by a known key, meant for somebody else, or with claims that break a rule."""


class TokenExpired(TokenError):
    """Its `exp` has come or its `nbf` has not."""


class TokenRevoked(TokenExpired):
    """The token, or every token of its user, was revoked."""
