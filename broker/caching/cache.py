"""A cache in two levels: what this process remembers, what the fleet keeps, and the store behind both.

What bounds the age of a value is one reckoning through both levels: it counts for `fresh_s` from the moment before the store
was asked for it, wherever it lies. So whatever is lost (a word about a change, the second level's data, a process between its
commit and its word), nothing is given out that is older, but for what stands in for a store that does not answer.

What has changed is let go of at once: here and in the second level by whoever changed it, elsewhere by a word. A read that was
under way meanwhile may answer those who had asked before; it is not kept, and whoever asks after the change begins anew.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Iterable
from typing import Final, Generic, TypeVar

import msgspec

from broker.cache import Found, SharedCache
from broker.caching.local import Key, Local, Remembered
from broker.caching.second_level import Codec, SecondLevel
from broker.caching.statistics import Ages, CacheStatistics, Result
from broker.errors import Unavailable
from config.clock import Clock

__all__ = ["Cache", "Terms"]

V = TypeVar("V")

# So long the store is left alone where something stands in for it.
_RETRY_S: Final = 1.0


class Terms(msgspec.Struct, frozen=True):
    """What a cache promises, and takes.

    Attributes:
        name: A short word; a label of metrics, and a part of keys in the second level.
        limit: How many values the first level holds.
        fresh_s: For how long a value counts, from before the store was asked.
        stale_s: For how much longer it stands in where the store does not answer; 0.0 where that is not safe.
        nothing_s: For how long it counts that there is nothing, as `is_nothing` judges.
    """

    name: str
    limit: int
    fresh_s: float
    stale_s: float = 0.0
    nothing_s: float = 1.0


class Cache(Generic[V]):
    """One kind of values.

    Args:
        read: Asks the store for an entry of a home; raises `Unavailable`.
        shared: The second level; None where these values stay in the process.
        codec: Goes with `shared`.
        tags_of: By what else than its home a value is let go of; for the first level alone.
        is_nothing: Whether a value says that there is nothing.
    """

    def __init__(
        self,
        terms: Terms,
        read: Callable[[str, str], Awaitable[V]],
        clock: Clock,
        *,
        shared: SharedCache | None = None,
        codec: Codec[V] | None = None,
        tags_of: Callable[[V], Iterable[str]] = lambda _value: (),
        is_nothing: Callable[[V], bool] = lambda _value: False,
    ) -> None:
        self.terms = terms
        self._read, self._clock, self._tags_of, self._is_nothing = read, clock, tags_of, is_nothing
        self._local: Local[V] = Local(terms.limit)
        self._shared: SecondLevel[V] | None = None
        if shared is not None and codec is not None and shared.is_there:
            self._shared = SecondLevel(terms.name, shared, codec, clock, life_s=terms.fresh_s)
        # Those that newcomers may join; a change takes them out.
        self._reads: dict[Key, asyncio.Task[V]] = {}
        self._under_way = 0
        # When, in the order of changes, each tag was forgotten; kept as long as a read that began before may be under way.
        self._changes = 0
        self._changed_at: dict[str, int] = {}
        self._cleared_at = 0
        self._looks: Counter[tuple[str, str]] = Counter({("local", Result.HIT): 0, ("local", Result.MISS): 0})
        self._forgotten = 0
        self._ages = Ages()

    async def get(self, home: str, entry: str = "") -> V:
        """Give a value, from as near as possible; those who ask for one at the same time wait for one read.

        Raises:
            Unavailable: The store does not answer, and nothing may stand in for it.
        """
        key = (home, entry)
        remembered, now = self._local.get(key), self._clock.monotonic()
        if remembered is not None and now < remembered.fresh_until:
            self._look("local", Result.HIT)
            self._ages.add(now - remembered.read_at)
            return remembered.value
        self._look("local", Result.MISS)
        try:
            # Whoever goes away leaves the read to the others.
            return await asyncio.shield(self._reads.get(key) or self._begin(key))
        except Unavailable:
            if (standing_in := self._stand_in(key)) is None:
                raise
            return standing_in.value

    async def forget(self, tags: Collection[str] = ()) -> None:
        """Let go of what has changed, in both levels; of everything in the first one where no tag is named.

        The second level knows homes only, and one that does not answer keeps what it has until that is too old.
        """
        self.forget_here(tags)
        if self._shared is not None:
            for tag in tags:
                await self._shared.forget(tag)

    def forget_here(self, tags: Collection[str] = ()) -> None:
        """Let go of what has changed, or of everything, in this process."""
        self._changes += 1
        if not tags:
            self._cleared_at = self._changes
            self._reads.clear()
            self._forgotten += self._local.clear()
            return
        self._forgotten += self._local.drop(tags)
        if self._under_way:
            self._changed_at.update(dict.fromkeys(tags, self._changes))
            self._reads = {key: read for key, read in self._reads.items() if key[0] not in tags}

    def statistics(self) -> CacheStatistics:
        """Tell what it has done."""
        local = self._local
        return CacheStatistics(self.terms.name, dict(self._looks), len(local), local.evictions, self._forgotten, self._ages)

    def _begin(self, key: Key) -> "asyncio.Task[V]":
        # Owned here, by `_ended`; bounded by the timeouts of the store.
        read = asyncio.create_task(self._fetch(key, self._changes), name=f"cache:{self.terms.name}")
        self._under_way += 1
        self._reads[key] = read
        read.add_done_callback(lambda read: self._ended(key, read))
        return read

    def _ended(self, key: Key, read: "asyncio.Task[V]") -> None:
        self._under_way -= 1
        if not self._under_way:
            self._changed_at.clear()
        if self._reads.get(key) is read:
            del self._reads[key]
        if not read.cancelled():
            read.exception()  # taken, should nobody wait for it any more

    async def _fetch(self, key: Key, began_at: int) -> V:
        if self._shared is None:
            return await self._from_store(key, began_at, None)
        asked_at = self._clock.monotonic()
        found = await self._shared.get(key)
        value = None if found is None else self._shared.read(found)
        if found is None or value is None:
            self._look("shared", Result.FAILED if found is None else Result.MISS)
            return await self._from_store(key, began_at, found)
        self._look("shared", Result.HIT)
        life_s = self._life_s(value)
        read_at = asked_at + min(found.left_s, life_s) - life_s
        self._ages.add(self._clock.monotonic() - read_at)
        self._remember(key, value, began_at, read_at)
        return value

    async def _from_store(self, key: Key, began_at: int, found: Found | None) -> V:
        read_at = self._clock.monotonic()
        value = await self._read(*key)
        is_kept = self._remember(key, value, began_at, read_at)
        left_s = read_at + self._life_s(value) - self._clock.monotonic()
        if self._shared is not None and found is not None and is_kept and left_s > 0:
            await self._shared.put(key, value, left_s, found.generation)
        return value

    def _remember(self, key: Key, value: V, began_at: int, read_at: float) -> bool:
        """Keep a value, unless it may have changed since its read began; tells whether it was kept."""
        tags = (key[0], *self._tags_of(value))
        if self._cleared_at > began_at or any(self._changed_at.get(tag, 0) > began_at for tag in tags):
            return False
        fresh_until = read_at + self._life_s(value)
        self._local.put(key, Remembered(value, read_at, fresh_until, fresh_until + self.terms.stale_s, tags))
        return True

    def _life_s(self, value: V) -> float:
        return min(self.terms.nothing_s, self.terms.fresh_s) if self._is_nothing(value) else self.terms.fresh_s

    def _stand_in(self, key: Key) -> Remembered[V] | None:
        """Find what was known last, where that is allowed: it is given out for a moment without asking the store again."""
        remembered, now = self._local.get(key), self._clock.monotonic()
        if remembered is None or now >= remembered.usable_until:
            return None
        remembered.fresh_until = max(remembered.fresh_until, min(now + _RETRY_S, remembered.usable_until))
        self._look("local", Result.STALE)
        self._ages.add(now - remembered.read_at)
        return remembered

    def _look(self, level: str, result: str) -> None:
        self._looks[level, result] += 1
