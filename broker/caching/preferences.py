"""What users said, remembered for those who show it.

Decisions never ask here: a claim reads preferences and rules with everything else that it needs, in its own transaction. Nor
does who changes them, since what was read a moment ago is no ground to build on.
"""

from collections.abc import Sequence
from typing import Final

import msgspec

from broker.cache import SharedCache
from broker.caching.cache import Cache, Terms
from broker.caching.caches import Caches
from broker.notification import Preference
from broker.preferences import Preferences, UserRules
from config.clock import Clock

__all__ = ["PREFERENCES", "TellingPreferences", "UserWords", "preferences_cache"]

# Showing what a user said some minutes ago harms nobody while the store is away: then it cannot have been changed.
PREFERENCES: Final = Terms("preferences", limit=10_000, fresh_s=5.0, stale_s=300.0, nothing_s=5.0)


class UserWords(msgspec.Struct, frozen=True):
    """A user's preferences, by category and route, and rules."""

    preferences: tuple[Preference, ...]
    rules: UserRules


class _Codec:
    encode = staticmethod(msgspec.msgpack.Encoder().encode)
    decode = staticmethod(msgspec.msgpack.Decoder(UserWords).decode)


def preferences_cache(preferences: Preferences, clock: Clock, shared: SharedCache) -> Cache[UserWords]:
    """Make the cache; its homes are users."""

    async def read(user: str, _entry: str) -> UserWords:
        return UserWords(tuple(await preferences.of_user(user)), await preferences.rules_of(user))

    return Cache(PREFERENCES, read, clock, shared=shared, codec=_Codec())


class TellingPreferences:
    """Implements `broker.preferences.Preferences`: what is read is what the store has, what is changed is told."""

    def __init__(self, preferences: Preferences, caches: Caches) -> None:
        self._preferences, self._caches = preferences, caches

    async def of_user(self, user: str) -> Sequence[Preference]:
        return await self._preferences.of_user(user)

    async def set(self, user: str, preferences: Sequence[Preference]) -> None:
        await self._caches.change(self._preferences.set(user, preferences), {PREFERENCES.name: (user,)})

    async def rules_of(self, user: str) -> UserRules:
        return await self._preferences.rules_of(user)

    async def change(self, user: str, preferences: Sequence[Preference], rules: UserRules) -> None:
        await self._caches.change(self._preferences.change(user, preferences, rules), {PREFERENCES.name: (user,)})
