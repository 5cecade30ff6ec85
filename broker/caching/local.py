"""The first level of a cache: values in this process, those used last up to a number, found by key and let go of by tag."""

from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

import msgspec
from cachetools import LRUCache

__all__ = ["Key", "Local", "Remembered"]

V = TypeVar("V")

# A home, and one of its entries.
Key = tuple[str, str]


class Remembered(msgspec.Struct, Generic[V], gc=False):
    """A value with the monotonic readings that it lives by.

    Attributes:
        read_at: When the store was asked for it, as far as is known at the latest that long ago.
        fresh_until: Until when it is given out unasked.
        usable_until: Until when it stands in where the store does not answer.
        tags: By which it is let go of.
    """

    value: V
    read_at: float
    fresh_until: float
    usable_until: float
    tags: tuple[str, ...]


class Local(Generic[V]):
    """Synchronous; time is its user's."""

    def __init__(self, limit: int) -> None:
        self._kept: _Recent[V] = _Recent(limit, self._evict)
        self._keys_by_tag: dict[str, set[Key]] = {}
        self.evictions = 0

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, key: Key) -> Remembered[V] | None:
        """Look for a value, however old; it counts as used."""
        return self._kept.get(key)

    def put(self, key: Key, remembered: Remembered[V]) -> None:
        """Keep a value in the place of the one before it; where there are too many the one goes that was used longest ago."""
        self._remove(key)
        for tag in remembered.tags:
            self._keys_by_tag.setdefault(tag, set()).add(key)
        self._kept[key] = remembered

    def drop(self, tags: Iterable[str]) -> int:
        """Let go of all that has one of these tags; tells how many went."""
        keys = {key for tag in tags for key in self._keys_by_tag.get(tag, ())}
        for key in keys:
            self._remove(key)
        return len(keys)

    def clear(self) -> int:
        """Let go of everything; tells how much that was."""
        count = len(self._kept)
        self._kept.clear()
        self._keys_by_tag.clear()
        return count

    def _remove(self, key: Key) -> None:
        if (gone := self._kept.pop(key, None)) is not None:
            self._untag(key, gone)

    def _evict(self, key: Key, gone: Remembered[V]) -> None:
        self.evictions += 1
        self._untag(key, gone)

    def _untag(self, key: Key, gone: Remembered[V]) -> None:
        for tag in gone.tags:
            keys = self._keys_by_tag[tag]
            keys.discard(key)
            if not keys:
                del self._keys_by_tag[tag]


class _Recent(LRUCache[Key, Remembered[V]]):
    """Tells of what it lets go of for want of room."""

    def __init__(self, limit: int, evicted: Callable[[Key, Remembered[V]], None]) -> None:
        super().__init__(limit)
        self._evicted = evicted

    def popitem(self) -> tuple[Key, Remembered[V]]:
        key, gone = super().popitem()
        self._evicted(key, gone)
        return key, gone

    def clear(self) -> None:
        """Let go of everything without telling: nothing of it was for want of room."""
        for key in list(self):
            del self[key]
