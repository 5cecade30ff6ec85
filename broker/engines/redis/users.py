"""Which users hold a connection on any node.

Only a user's first and last connection on a node reach the server. A partition is one hash from user to leases (see
lua/user_write.lua), small enough to be scanned when a node has died.
"""

from collections import defaultdict
from typing import Final

from broker.engines.redis.holdings import Holdings, all_of
from broker.engines.redis.leases import Leases
from broker.engines.redis.link import Argument, Link
from broker.engines.redis.places import PARTITIONS, Places
from broker.engines.redis.presence import KEPT_S
from broker.engines.redis.scripts import load_script

__all__ = ["RedisUserPresence"]

_USER_WRITE: Final = load_script("user_write")

# So many users are asked for in one command, and about so many looked at in a step of clearing up.
_ASKED: Final = 500
_SCANNED: Final = 500


class RedisUserPresence:
    """The port UserPresence."""

    def __init__(self, link: Link, places: Places, leases: Leases) -> None:
        self._link, self._places, self._leases = link, places, leases
        self._clients_by_user: dict[str, set[str]] = {}
        self.holdings: Holdings[str, bool] = Holdings(leases, self._write)

    async def connected(self, user: str, client: str) -> None:
        self._clients_by_user.setdefault(user, set()).add(client)
        await self.holdings.put_once(user, True)

    async def disconnected(self, user: str, client: str) -> None:
        clients = self._clients_by_user.get(user)
        if clients is None or client not in clients:
            return
        clients.discard(client)
        if not clients:
            del self._clients_by_user[user]
            await self.holdings.drop(user)

    async def online(self, users: frozenset[str]) -> frozenset[str]:
        by_partition: defaultdict[int, list[str]] = defaultdict(list)
        for user in users:
            by_partition[self._places.partition(user)].append(user)
        parts = [
            (number, asked[start : start + _ASKED])
            for number, asked in by_partition.items()
            for start in range(0, len(asked), _ASKED)
        ]
        if len(parts) == 1:  # most often one user is asked for: no task is needed for that
            answers = [await self._leases_of(*parts[0])]
        else:
            answers = await all_of(self._leases_of(number, asked) for number, asked in parts)
        leases_by_user = {user: leases for answer in answers for user, leases in answer.items()}
        living = await self._leases.living({lease for leases in leases_by_user.values() for lease in leases})
        return frozenset(user for user, leases in leases_by_user.items() if not living.isdisjoint(leases))

    async def evict(self, ended: frozenset[str]) -> None:
        """Clear up what ended leases left.

        Raises:
            EngineUnavailable: Some of it is left.
        """
        await all_of(self._evict_from(number, ended) for number in range(PARTITIONS))

    async def _evict_from(self, number: int, ended: frozenset[str]) -> None:
        cursor = b"0"
        while True:
            cursor = await self._link.run(_USER_WRITE, [self._places.users(number)], ["evict", cursor, _SCANNED, *ended])
            if cursor == b"0":
                return

    async def _leases_of(self, number: int, users: list[str]) -> dict[str, list[str]]:
        key = self._places.users(number)
        answer = await self._link.command("HMGET", key, *users, key=key)
        return {user: leases.decode().split() for user, leases in zip(users, answer, strict=True) if leases}

    async def _write(self, lease: str, user: str, is_here: bool | None) -> None:
        args: list[Argument] = ["put", user, lease, KEPT_S] if is_here else ["drop", user, lease]
        await self._link.run(_USER_WRITE, [self._places.users(self._places.partition(user))], args)
