"""Who is there, on a single node: the node's own clients are everybody."""

from collections.abc import Mapping

from broker.model import ClientInfo
from broker.presence import PresenceStats

__all__ = ["MemoryPresence", "MemoryUserPresence"]


class MemoryPresence:
    """The port Presence. Entries need no refresh: they cannot outlive the node that made them."""

    def __init__(self) -> None:
        self._infos_by_channel: dict[str, dict[str, ClientInfo]] = {}

    async def add(self, channel: str, info: ClientInfo) -> None:
        self._infos_by_channel.setdefault(channel, {})[info.client] = info

    async def remove(self, channel: str, client: str) -> None:
        infos = self._infos_by_channel.get(channel)
        if infos is None:
            return
        infos.pop(client, None)
        if not infos:
            del self._infos_by_channel[channel]

    async def members(self, channel: str) -> Mapping[str, ClientInfo]:
        return dict(self._infos_by_channel.get(channel, {}))

    async def stats(self, channel: str) -> PresenceStats:
        infos = self._infos_by_channel.get(channel, {})
        return PresenceStats(clients=len(infos), users=len({info.user for info in infos.values()}))

    def clear(self) -> None:
        """Forget everybody."""
        self._infos_by_channel.clear()

    def __len__(self) -> int:
        """Count the channels with somebody in them."""
        return len(self._infos_by_channel)


class MemoryUserPresence:
    """The port UserPresence: the clients of each user, so that coming or going twice counts once."""

    def __init__(self) -> None:
        self._clients_by_user: dict[str, set[str]] = {}

    async def connected(self, user: str, client: str) -> None:
        self._clients_by_user.setdefault(user, set()).add(client)

    async def disconnected(self, user: str, client: str) -> None:
        clients = self._clients_by_user.get(user)
        if clients is None:
            return
        clients.discard(client)
        if not clients:
            del self._clients_by_user[user]

    async def online(self, users: frozenset[str]) -> frozenset[str]:
        return users & self._clients_by_user.keys()

    def clear(self) -> None:
        """Forget everybody."""
        self._clients_by_user.clear()

    def __len__(self) -> int:
        """Count the users that hold a connection."""
        return len(self._clients_by_user)
