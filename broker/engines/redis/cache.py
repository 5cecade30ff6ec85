"""The second level of caches: a hash per value and, where something was forgotten, a text per home."""

from typing import Final
from uuid import uuid4

from broker.cache import LONGEST_S, Found, Place
from broker.engines.redis.link import Link
from broker.engines.redis.places import Places
from broker.engines.redis.scripts import load_script

__all__ = ["RedisCache"]

_GET: Final = load_script("cache_get")
_PUT: Final = load_script("cache_put")
# A generation outlives whatever was written under one before it, which would count again otherwise.
_GENERATION_MS: Final = round(1000 * (LONGEST_S + 3600.0))


class RedisCache:
    """The port SharedCache. A home and its entries share a hash tag; what is forgotten goes when its time is over."""

    is_there: Final = True

    def __init__(self, link: Link, places: Places) -> None:
        self._link, self._places = link, places

    async def get(self, place: Place) -> Found:
        generation, value, left_ms = await self._link.run(_GET, self._keys(place))
        # One that is no text is none of ours: then nothing can be written under it, and nobody fails of it.
        return Found(value, max(0.0, left_ms / 1000), generation.decode(errors="replace"))

    async def put(self, place: Place, value: bytes, *, ttl_s: float, generation: str) -> bool:
        ttl_ms = max(1, int(1000 * min(ttl_s, LONGEST_S)))
        return bool(await self._link.run(_PUT, self._keys(place), [generation, value, ttl_ms]))

    async def forget(self, cache: str, home: str) -> None:
        key = self._places.cache_generation(cache, home)
        await self._link.command("SET", key, uuid4().hex, "PX", _GENERATION_MS, key=key)

    def _keys(self, place: Place) -> list[str]:
        generation = self._places.cache_generation(place.cache, place.home)
        return [generation, self._places.cache_entry(place.cache, place.home, place.entry)]
