"""What this node wants others to find of it on the server, kept true whatever gets lost on the way.

The node's own wishes are the truth, and the server's copy follows. A wish is written at once; if that fails, or the lease that
it was written under was lost meanwhile, it is *owed* and written again until it has arrived. So neither an outage nor an
emptied server leaves entries missing, or entries of clients long gone: those would live as long as their node does.

Writes of one key may overtake each other. Each therefore looks, when it has been carried out, whether what it wrote is still
what is wanted, and writes again if not: the last one to be carried out always has the last wish.
"""

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Iterable
from itertools import islice
from typing import Final, Generic, TypeVar

from broker.engines.redis.leases import Leases

__all__ = ["Holdings", "all_of"]

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")
T = TypeVar("T")

# So many writes are under way at once when much is owed.
_BATCH: Final = 200


class Holdings(Generic[Key, Value]):
    """Wishes by key, each a value that others are to find, and those of them that the server may not know yet."""

    def __init__(
        self,
        leases: Leases,
        write: Callable[[str, Key, Value | None], Awaitable[object]],
    ) -> None:
        """`write` stores a key's value under a lease, or takes the key away for None; repeating it does no harm."""
        self._leases, self._write = leases, write
        self._wanted: dict[Key, Value] = {}
        self._owed: set[Key] = set()
        self._under_way: set[Key] = set()
        self._to_renew: list[Key] = []

    def __len__(self) -> int:
        """Count the keys that others are to find."""
        return len(self._wanted)

    @property
    def owed(self) -> int:
        """How many keys the server may not know as they are."""
        return len(self._owed)

    async def put(self, key: Key, value: Value) -> None:
        """Have others find `value` at `key`.

        Raises:
            EngineUnavailable: It is unknown whether they do; it is written again later, unless it is dropped.
        """
        self._wanted[key] = value
        await self._settle(key)

    async def put_once(self, key: Key, value: Value) -> None:
        """Do so, at no cost where the server knows it already: for values that never differ."""
        if key in self._wanted and key not in self._owed and key not in self._under_way:
            return
        await self.put(key, value)

    async def drop(self, key: Key) -> None:
        """Have others find nothing there.

        Raises:
            EngineUnavailable: It is unknown whether they do; it is taken away later.
        """
        self._wanted.pop(key, None)
        await self._settle(key)

    def owe_all(self) -> None:
        """Have everything written again: the server has forgotten it, or names a lease that was lost."""
        self._owed.update(self._wanted)

    def owe_some(self, rounds: int) -> None:
        """Have one of `rounds` parts written again, another one with each call.

        This heals what was lost without a trace (one shard of a cluster failing over), and prolongs the keys on the server.
        """
        if not self._to_renew:
            self._to_renew = list(self._wanted)
        count = max(1, -(-len(self._wanted) // rounds))
        part, self._to_renew = self._to_renew[-count:], self._to_renew[:-count]
        self._owed.update(key for key in part if key in self._wanted)

    async def drop_all(self) -> None:
        """Have others find nothing any more.

        Raises:
            EngineUnavailable: Some of it is left.
        """
        self.owe_all()
        self._wanted.clear()
        await self.settle()

    async def settle(self) -> None:
        """Write what is owed, in batches.

        Raises:
            EngineUnavailable: Some of it is still owed.
        """
        while batch := list(islice(self._owed, _BATCH)):
            await all_of(self._settle(key) for key in batch)

    async def _settle(self, key: Key) -> None:
        self._under_way.add(key)
        try:
            while True:
                lease, value = self._leases.lease, self._wanted.get(key)
                await self._write(lease, key, value)
                if lease == self._leases.lease and value is self._wanted.get(key):
                    break
        except BaseException:
            self._owed.add(key)  # also when cancelled: it may have been written or not
            raise
        else:
            self._owed.discard(key)
        finally:
            self._under_way.discard(key)


async def all_of(works: Iterable[Awaitable[T]]) -> list[T]:
    """Do all of it at once and to its end; the first failure is raised when all have ended."""
    results = await asyncio.gather(*works, return_exceptions=True)
    done = []
    for result in results:
        if isinstance(result, BaseException):
            raise result
        done.append(result)
    return done
