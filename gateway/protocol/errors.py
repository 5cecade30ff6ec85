"""Codes of failed commands (1xx), and what each tells the client to do.

An SDK retries a temporary error with backoff, fetches a new token after 109, and gives up on the others.
"""

from typing import Final

import msgspec

__all__ = [
    "ALREADY_SUBSCRIBED",
    "BAD_REQUEST",
    "EXPIRED",
    "INTERNAL",
    "LIMIT_EXCEEDED",
    "METHOD_NOT_FOUND",
    "NOT_AVAILABLE",
    "PERMISSION_DENIED",
    "TOKEN_EXPIRED",
    "TOO_MANY_REQUESTS",
    "UNAUTHORIZED",
    "UNKNOWN_CHANNEL",
    "UNRECOVERABLE_POSITION",
    "ClientError",
    "Error",
]


class Error(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a reply carries instead of a result; the message is never empty (SDKs read it unguarded)."""

    code: int
    message: str
    temporary: bool = False


class ClientError(Exception):
    """A command fails with this code; the connection goes on. `rule` tells the audit what decided, and the client nothing."""

    def __init__(self, error: Error, detail: str = "", *, rule: str = "") -> None:
        super().__init__(f"{error.code} {detail or error.message}")
        self.rule = rule
        # The table's text stays first, so that clients which match on it still do; the detail names field and rule.
        self.error = Error(error.code, f"{error.message}: {detail}", error.temporary) if detail else error


INTERNAL: Final = Error(100, "internal server error", temporary=True)
UNAUTHORIZED: Final = Error(101, "unauthorized")
UNKNOWN_CHANNEL: Final = Error(102, "unknown channel")
PERMISSION_DENIED: Final = Error(103, "permission denied")
METHOD_NOT_FOUND: Final = Error(104, "method not found")
ALREADY_SUBSCRIBED: Final = Error(105, "already subscribed")
LIMIT_EXCEEDED: Final = Error(106, "limit exceeded")
BAD_REQUEST: Final = Error(107, "bad request")
NOT_AVAILABLE: Final = Error(108, "not available")
TOKEN_EXPIRED: Final = Error(109, "token expired")
EXPIRED: Final = Error(110, "expired")
TOO_MANY_REQUESTS: Final = Error(111, "too many requests", temporary=True)
UNRECOVERABLE_POSITION: Final = Error(112, "unrecoverable position")
