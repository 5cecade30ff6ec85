"""Errors of tokens, by what the client must do next. No text quotes a token.

TokenError
├── InvalidToken        the token will never pass: disconnect 3500, on subscribe error 103
└── TokenExpired        another token may pass: error 109, upon which clients fetch a fresh one
    └── TokenRevoked    its time is not over, but it is no longer trusted; answered like an expired one
"""

__all__ = ["InvalidToken", "TokenError", "TokenExpired", "TokenRevoked"]


class TokenError(Exception):
    """A token that does not let anybody in; the text names the check that failed."""


class InvalidToken(TokenError):
    """Malformed, not signed by a known key, meant for somebody else, or with claims that break a rule."""


class TokenExpired(TokenError):
    """Its `exp` has come or its `nbf` has not."""


class TokenRevoked(TokenExpired):
    """The token, or every token of its user, was revoked."""
