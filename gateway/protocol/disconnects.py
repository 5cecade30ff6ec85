"""Codes that end a connection (3xxx) or a subscription (2xxx), and what each tells the client to do.

Disconnects: 3000-3499 and 4000-4499 mean come back with backoff, 3500-3999 and 4500-4999 mean stay away. Unsubscribes: below
2500 for good, from 2500 subscribe again. Reasons are never empty and never valid JSON: SDKs misread such close frames.
"""

from typing import Final

import msgspec

from gateway.protocol.errors import Error

__all__ = [
    "BAD_REQUEST",
    "CHANNEL_LIMIT",
    "CLOSED",
    "CONNECTION_LIMIT",
    "EXPIRED",
    "FORCE_DISCONNECT",
    "FORCE_RECONNECT",
    "INAPPROPRIATE_PROTOCOL",
    "INSUFFICIENT_STATE",
    "INTERNAL",
    "INVALID_TOKEN",
    "NOT_AVAILABLE",
    "NO_PONG",
    "PERMISSION_DENIED",
    "SHUTDOWN",
    "SLOW",
    "STALE",
    "STATE_INVALIDATED",
    "SUBSCRIPTION_EXPIRED",
    "TOO_MANY_REQUESTS",
    "UNSUBSCRIBED_BY_SERVER",
    "UNSUBSCRIBED_EXPIRED",
    "UNSUBSCRIBED_INSUFFICIENT_STATE",
    "UNSUBSCRIBED_STATE_INVALIDATED",
    "WRITE_ERROR",
    "Disconnect",
    "DisconnectClient",
    "Unsubscribe",
]


class Disconnect(msgspec.Struct, frozen=True):
    """Why a connection ends. `error` is what connect failed with, where a disconnect stands for it."""

    code: int
    reason: str
    error: Error | None = None

    @property
    def reconnects(self) -> bool:
        """Whether an SDK comes back by itself."""
        return 3000 <= self.code < 3500 or 4000 <= self.code < 4500 or self.code >= 5000


class Unsubscribe(msgspec.Struct, frozen=True):
    """Why a subscription ends."""

    code: int
    reason: str

    @property
    def resubscribes(self) -> bool:
        """Whether an SDK subscribes again by itself."""
        return self.code >= 2500


class DisconnectClient(Exception):
    """A command ends the connection. `rule` tells the audit what decided, and the client nothing."""

    def __init__(self, disconnect: Disconnect, *, rule: str = "") -> None:
        super().__init__(f"{disconnect.code} {disconnect.reason}")
        self.disconnect, self.rule = disconnect, rule


CLOSED: Final = Disconnect(3000, "connection closed")  # the peer went away; never sent
SHUTDOWN: Final = Disconnect(3001, "shutdown")
INTERNAL: Final = Disconnect(3004, "internal server error")
EXPIRED: Final = Disconnect(3005, "connection expired")
SUBSCRIPTION_EXPIRED: Final = Disconnect(3006, "subscription expired")
SLOW: Final = Disconnect(3008, "slow")
WRITE_ERROR: Final = Disconnect(3009, "write error")
INSUFFICIENT_STATE: Final = Disconnect(3010, "insufficient state")
FORCE_RECONNECT: Final = Disconnect(3011, "force reconnect")
NO_PONG: Final = Disconnect(3012, "no pong")
TOO_MANY_REQUESTS: Final = Disconnect(3013, "too many requests")
STATE_INVALIDATED: Final = Disconnect(3014, "state invalidated")
INVALID_TOKEN: Final = Disconnect(3500, "invalid token")
BAD_REQUEST: Final = Disconnect(3501, "bad request")
STALE: Final = Disconnect(3502, "stale")
FORCE_DISCONNECT: Final = Disconnect(3503, "force disconnect")
CONNECTION_LIMIT: Final = Disconnect(3504, "connection limit")
CHANNEL_LIMIT: Final = Disconnect(3505, "channel limit")
INAPPROPRIATE_PROTOCOL: Final = Disconnect(3506, "inappropriate protocol")
PERMISSION_DENIED: Final = Disconnect(3507, "permission denied")
NOT_AVAILABLE: Final = Disconnect(3508, "not available")

UNSUBSCRIBED_BY_SERVER: Final = Unsubscribe(2000, "server unsubscribe")
UNSUBSCRIBED_INSUFFICIENT_STATE: Final = Unsubscribe(2500, "insufficient state")
UNSUBSCRIBED_EXPIRED: Final = Unsubscribe(2501, "subscription expired")
UNSUBSCRIBED_STATE_INVALIDATED: Final = Unsubscribe(2502, "state invalidated")  # SDKs drop the token and the position
