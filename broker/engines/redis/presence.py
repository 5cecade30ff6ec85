"""Who is in which channel, over all nodes.

A channel's clients, users and leases (see lua/presence_write.lua) lie together with the list of the lease's channels, by which
others clear up after a dead node, in one of a fixed number of partitions: so one script changes them all, also in a cluster.
"""

from collections.abc import Mapping
from typing import Final

import msgspec

from broker.engines.redis.holdings import Holdings, all_of
from broker.engines.redis.leases import Leases
from broker.engines.redis.link import Argument, Link
from broker.engines.redis.places import PARTITIONS, Places
from broker.engines.redis.scripts import load_script
from broker.model import ClientInfo
from broker.presence import PresenceStats

__all__ = ["KEPT_S", "RedisPresence"]

_PRESENCE_STATS: Final = load_script("presence_stats")
_PRESENCE_WRITE: Final = load_script("presence_write")

# Keys go by themselves when no living node has written them for so long: nobody may be left to clear up.
KEPT_S: Final = 24 * 3600
# A dead node's channels are cleared so many at a time, and about so many clients of one in a step.
_CHANNELS: Final = 50
_CLIENTS: Final = 500

_Infos = tuple[bytes, bytes]
_infos = msgspec.msgpack.Decoder(_Infos)
_encode = msgspec.msgpack.Encoder().encode


class RedisPresence:
    """The port Presence."""

    def __init__(self, link: Link, places: Places, leases: Leases) -> None:
        self._link, self._places, self._leases = link, places, leases
        self.holdings: Holdings[tuple[str, str], ClientInfo] = Holdings(leases, self._write)

    async def add(self, channel: str, info: ClientInfo) -> None:
        await self.holdings.put((channel, info.client), info)

    async def remove(self, channel: str, client: str) -> None:
        await self.holdings.drop((channel, client))

    async def members(self, channel: str) -> Mapping[str, ClientInfo]:
        key = self._places.presence(channel).clients
        answer = await self._link.command("HGETALL", key, key=key)
        entries = zip(answer[::2], answer[1::2], strict=True)
        found = {client.decode(): _decode(client, entry) for client, entry in entries}
        living = await self._leases.living(lease for lease, _ in found.values())
        return {client: info for client, (lease, info) in found.items() if lease in living}

    async def stats(self, channel: str) -> PresenceStats:
        at = self._places.presence(channel)
        while True:
            clients, users, named = await self._link.run(_PRESENCE_STATS, [at.clients, at.users, at.leases], [])
            leases = frozenset(lease.decode() for lease in named)
            ended = leases - await self._leases.living(leases)
            if not ended:
                return PresenceStats(clients=clients, users=users)
            for lease in ended:  # who asks before somebody has cleared up does it for this channel
                await self._evict_from(channel, lease)

    async def evict(self, ended: frozenset[str]) -> None:
        """Clear up what ended leases left.

        Raises:
            EngineUnavailable: Some of it is left.
        """
        for lease in ended:
            listed = [self._places.presence_channels(number, lease) for number in range(PARTITIONS)]
            while True:
                answers = await all_of(self._link.command("SRANDMEMBER", key, _CHANNELS, key=key) for key in listed)
                channels = [channel.decode() for answer in answers for channel in answer]
                if not channels:
                    break
                for start in range(0, len(channels), _CHANNELS):
                    await all_of(self._evict_from(channel, lease) for channel in channels[start : start + _CHANNELS])

    async def _evict_from(self, channel: str, lease: str) -> None:
        cursor = b"0"
        while True:
            args: list[Argument] = ["evict", channel, lease, cursor, _CLIENTS]
            cursor = await self._link.run(_PRESENCE_WRITE, self._keys_of(channel, lease), args)
            if cursor == b"0":
                return

    async def _write(self, lease: str, key: tuple[str, str], info: ClientInfo | None) -> None:
        channel, client = key
        args: list[Argument] = ["drop", channel, lease, client]
        if info is not None:
            args = ["put", channel, lease, client, _encoded(lease, info), info.user, KEPT_S]
        await self._link.run(_PRESENCE_WRITE, self._keys_of(channel, lease), args)

    def _keys_of(self, channel: str, lease: str) -> list[str]:
        at = self._places.presence(channel)
        return [at.clients, at.users, at.leases, self._places.presence_channels(at.partition, lease)]


def _encoded(lease: str, info: ClientInfo) -> bytes:
    user = info.user.encode()
    return b"%b\n%d\n%b%b" % (lease.encode(), len(user), user, _encode((info.conn_info, info.chan_info)))


def _decode(client: bytes, entry: bytes) -> tuple[str, ClientInfo]:
    lease, length, rest = entry.split(b"\n", 2)
    user, infos = rest[: int(length)], rest[int(length) :]
    conn_info, chan_info = _infos.decode(infos)
    return lease.decode(), ClientInfo(user.decode(), client.decode(), conn_info, chan_info)
