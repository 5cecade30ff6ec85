"""Templates, remembered for those who render them: which version of a name is the newest, and the texts of a version.

The texts of a name at a version never change, but that the oldest versions are let go of; so they are remembered for an hour,
and stand in for a store that is away. What is removed or put is a new version, and only this is to be learnt soon.
"""

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from broker.cache import SharedCache
from broker.caching.cache import Cache, Terms
from broker.caching.caches import Caches
from broker.templates import StoredText, TemplateKey, Templates, TemplateText
from config.clock import Clock

__all__ = ["TEMPLATES", "TEXTS", "CachedTemplates"]

TEMPLATES: Final = Terms("templates", limit=10_000, fresh_s=5.0)
# Up to 200 sources each.
TEXTS: Final = Terms("template_texts", limit=64, fresh_s=3600.0, stale_s=86400.0)

_Texts = Mapping[tuple[str, str], StoredText]
_encode = msgspec.msgpack.Encoder().encode


class _Versions:
    encode = staticmethod(_encode)
    decode = staticmethod(msgspec.msgpack.Decoder(int).decode)


class _TextLists:
    _decode = staticmethod(msgspec.msgpack.Decoder(list[StoredText]).decode)

    def encode(self, texts: _Texts) -> bytes:
        return _encode(list(texts.values()))

    def decode(self, data: bytes) -> _Texts:
        return _by_place(self._decode(data))


class CachedTemplates:
    """Implements `broker.templates.Templates`: what is rendered is remembered, what is edited is what the store has."""

    def __init__(self, templates: Templates, caches: Caches, clock: Clock, shared: SharedCache) -> None:
        self._templates, self._caches = templates, caches

        async def read_newest(name: str, _entry: str) -> int:
            return await templates.newest(name)

        async def read_texts(name: str, version: str) -> _Texts:
            return await templates.texts(name, int(version))

        self._newest: Cache[int] = caches.add(
            Cache(TEMPLATES, read_newest, clock, shared=shared, codec=_Versions(), is_nothing=lambda newest: newest == 0)
        )
        self._texts: Cache[_Texts] = caches.add(
            Cache(TEXTS, read_texts, clock, shared=shared, codec=_TextLists(), is_nothing=lambda texts: not texts)
        )

    async def put(self, key: TemplateKey, text: TemplateText) -> int:
        return await self._caches.change(self._templates.put(key, text), _changed(key.name))

    async def remove(self, name: str, *, locale: str | None = None, route: str | None = None) -> int:
        return await self._caches.change(self._templates.remove(name, locale=locale, route=route), _changed(name))

    async def read(self, key: TemplateKey, version: int | None = None) -> StoredText:
        return await self._templates.read(key, version)

    async def versions(self, key: TemplateKey) -> Sequence[StoredText]:
        return await self._templates.versions(key)

    async def find(self, name: str = "", *, after: TemplateKey | None = None, limit: int) -> Sequence[StoredText]:
        return await self._templates.find(name, after=after, limit=limit)

    async def newest(self, name: str) -> int:
        return await self._newest.get(name)

    async def texts(self, name: str, version: int) -> _Texts:
        return await self._texts.get(name, str(version))


def _changed(name: str) -> Mapping[str, tuple[str]]:
    # Texts do not change by it. But a database that was set back counts its versions again, and this ends what is not its own.
    return {TEMPLATES.name: (name,), TEXTS.name: (name,)}


def _by_place(texts: Sequence[StoredText]) -> _Texts:
    return {(text.key.locale, text.key.route): text for text in texts}
