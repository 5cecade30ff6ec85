"""Port: who is in a channel, and which users are connected anywhere."""

from collections.abc import Mapping
from typing import Protocol

import msgspec

from broker.model import ClientInfo

__all__ = ["Presence", "PresenceStats", "UserPresence"]


class PresenceStats(msgspec.Struct, frozen=True, gc=False):
    """How many clients and how many different users are in a channel."""

    clients: int
    users: int


class Presence(Protocol):
    """The clients of each channel. Entries belong to the node that made them and vanish with it."""

    async def add(self, channel: str, info: ClientInfo) -> None:
        """Enter a client; again with other infos replaces the entry."""

    async def remove(self, channel: str, client: str) -> None:
        """Take a client out; one that is not there is no error."""

    async def members(self, channel: str) -> Mapping[str, ClientInfo]:
        """List who is there, by client id."""

    async def stats(self, channel: str) -> PresenceStats:
        """Count who is there; the anonymous user counts as one."""


class UserPresence(Protocol):
    """Which users hold a connection on any node. It lies for a while when a phone drops off a network."""

    async def connected(self, user: str, client: str) -> None:
        """Note that a client of a user is connected here."""

    async def disconnected(self, user: str, client: str) -> None:
        """Note that it is gone."""

    async def online(self, users: frozenset[str]) -> frozenset[str]:
        """Tell which of these users hold a connection anywhere."""
