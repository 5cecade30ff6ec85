"""A cache's way to the second level: values there and back, and never in the way of whoever could ask the store instead."""

import asyncio
from typing import Final, Generic, Protocol, TypeVar

import msgspec
from cachetools import TTLCache

from broker.cache import Found, Place, SharedCache
from broker.caching.local import Key
from broker.errors import EngineUnavailable
from config.clock import Clock

__all__ = ["Codec", "SecondLevel"]

V = TypeVar("V")

# It is to be faster than the store, or to be left alone: for so long when it did not answer within so much.
_WITHIN_S: Final = 0.25
_PAUSE_S: Final = 1.0
# So many homes that could not be forgotten are known; of those beyond them this process may meet what it has changed itself.
_UNSAID: Final = 10_000


class Codec(Protocol[V]):
    """Writes values for the second level, and reads them."""

    def encode(self, value: V, /) -> bytes:
        """Write a value."""

    def decode(self, data: bytes, /) -> V:
        """Read a value.

        Raises:
            msgspec.MsgspecError: It was written by another version of ours.
        """


class SecondLevel(Generic[V]):
    """What it does not do is no error: then there is no second level for a moment.

    Args:
        life_s: How long a value lives there at most.
    """

    def __init__(self, name: str, shared: SharedCache, codec: Codec[V], clock: Clock, *, life_s: float) -> None:
        self._name, self._shared, self._codec, self._clock = name, shared, codec, clock
        self._paused_until = 0.0
        # Homes that were not forgotten there though they have changed, as long as what they had may be there.
        self._unsaid: TTLCache[str, None] = TTLCache(_UNSAID, life_s, timer=clock.monotonic)

    async def get(self, key: Key) -> Found | None:
        """Look for a value; None where nothing is known of it, so that nothing may be written either."""
        if self._clock.monotonic() < self._paused_until:
            return None
        if key[0] in self._unsaid:
            await self.forget(key[0])
        if key[0] in self._unsaid:
            return None
        try:
            async with asyncio.timeout(_WITHIN_S):
                return await self._shared.get(self._place(key))
        except (EngineUnavailable, TimeoutError):
            self._pause()
            return None

    def read(self, found: Found) -> V | None:
        """Read what was found; None where there is nothing that can be read."""
        if found.value is None:
            return None
        try:
            return self._codec.decode(found.value)
        except msgspec.MsgspecError:
            return None

    async def put(self, key: Key, value: V, ttl_s: float, generation: str) -> None:
        """Write a value that was read under a generation."""
        try:
            async with asyncio.timeout(_WITHIN_S):
                await self._shared.put(self._place(key), self._codec.encode(value), ttl_s=ttl_s, generation=generation)
        except (EngineUnavailable, TimeoutError):
            self._pause()

    async def forget(self, home: str) -> None:
        """Let go of a home's values, also where the level is left alone otherwise.

        Where that fails they count for others until they are too old; here it is tried again before the home is looked for.
        """
        self._unsaid[home] = None
        try:
            async with asyncio.timeout(_WITHIN_S):
                await self._shared.forget(self._name, home)
        except (EngineUnavailable, TimeoutError):
            self._pause()
        else:
            self._unsaid.pop(home, None)

    def _pause(self) -> None:
        self._paused_until = self._clock.monotonic() + _PAUSE_S

    def _place(self, key: Key) -> Place:
        return Place(self._name, *key)
