"""The caches of a process: what changes here is let go of here and told to the fleet, and what is told is let go of.

A word that is lost (Redis being away, or a node that is late) is made up for twice: a node that may have missed words lets go
of everything, and no value counts for longer than its cache says.
"""

import asyncio
from collections.abc import Callable, Collection, Coroutine, Mapping, Sequence
from typing import Any, TypeVar

from broker.caching.cache import Cache
from broker.caching.statistics import CacheStatistics
from broker.control import Control, Forget
from broker.errors import EngineUnavailable
from broker.outage import Outage
from config.clock import Clock

__all__ = ["Caches", "Changed"]

T = TypeVar("T")

# What a change is about: tags by the name of the cache; no tags mean everything in it.
Changed = Mapping[str, Collection[str]]


class Caches:
    """All of them, by name."""

    def __init__(self, control: Control, clock: Clock) -> None:
        self._control = control
        self._caches: dict[str, Cache[Any]] = {}
        self._changes: set[asyncio.Task[Any]] = set()
        self._outage = Outage("words of changes", clock)

    def add(self, cache: Cache[T]) -> Cache[T]:
        """Take a cache in; gives it back."""
        self._caches[cache.terms.name] = cache
        return cache

    async def change(self, work: Coroutine[Any, Any, T], changed: Changed, *, also: Callable[[T], Changed] | None = None) -> T:
        """Change something in the store, and have what was remembered of it forgotten everywhere before this returns.

        The caller may be cancelled: the change and its word go their way. It is forgotten also where the store has not
        answered, since it may have been changed all the same. Nobody is told of words that could not be sent.

        Args:
            changed: What `work` changes.
            also: Tells from its answer what else it has changed.
        """
        task = asyncio.create_task(self._carry_out(work, changed, also), name="caches:change")  # owned here: see `close`
        self._changes.add(task)
        task.add_done_callback(self._changes.discard)
        return await asyncio.shield(task)

    async def _carry_out(self, work: Coroutine[Any, Any, T], changed: Changed, also: Callable[[T], Changed] | None) -> T:
        try:
            answer = await work
        except BaseException:
            await self.forget(changed)
            raise
        await self.forget(changed if also is None else {**changed, **also(answer)})
        return answer

    async def forget(self, changed: Changed) -> None:
        """Have what is remembered of something forgotten, here and everywhere; after its change is committed."""
        for name, tags in changed.items():
            if (cache := self._caches.get(name)) is not None:
                await cache.forget(tags)
        for name, tags in changed.items():
            await self._tell(Forget(name, tuple(tags)))

    def hear(self, command: Forget) -> None:
        """Forget what another process has changed."""
        named = self._caches.get(command.cache)
        for cache in [named] if named is not None else [] if command.cache else list(self._caches.values()):
            cache.forget_here(command.tags)

    def statistics(self) -> Sequence[CacheStatistics]:
        """Tell what each has done."""
        return [cache.statistics() for cache in self._caches.values()]

    async def close(self) -> None:
        """Finish changes that are under way; may come twice."""
        while self._changes:
            await asyncio.wait(set(self._changes))

    async def _tell(self, command: Forget) -> None:
        try:
            await self._control.send(command)
        except EngineUnavailable as exc:
            self._outage.failed(exc)
        else:
            self._outage.ended()
