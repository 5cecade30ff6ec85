"""Erasure reaches what is remembered: nothing of a person stays in a cache, here or in the second level."""

from collections.abc import Mapping

from broker.caching.caches import Caches
from broker.caching.devices import DEVICES
from broker.caching.preferences import PREFERENCES
from broker.erasure import Erasure

__all__ = ["TellingErasure"]


class TellingErasure:
    """Implements `broker.erasure.Erasure`."""

    def __init__(self, erasure: Erasure, caches: Caches) -> None:
        self._erasure, self._caches = erasure, caches

    async def erase(self, user: str) -> Mapping[str, int]:
        return await self._caches.change(self._erasure.erase(user), {PREFERENCES.name: (user,), DEVICES.name: (user,)})
