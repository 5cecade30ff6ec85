"""Port: the second level of caches: what one process has read, kept for a while where all find it.

Values are bytes, found by cache, home and entry. A *home* is what a change is about (a user, a template's name): forgetting a
home lets go of all its entries at once. Nothing depends on this level: whoever is told that it does not answer reads for
himself.

Who read before a change must not write after it what he read. So every answer brings the home's *generation*, which each
forgetting changes, and a value is only taken under the generation that its writer was told before he began to read.
"""

from typing import Final, Protocol

import msgspec

__all__ = ["LONGEST_S", "NO_GENERATION", "Found", "NoSharedCache", "Place", "SharedCache"]

# No value is kept longer.
LONGEST_S: Final = 86400.0
# That of a home which was not forgotten lately.
NO_GENERATION: Final = ""


class Place(msgspec.Struct, frozen=True):
    """Where a value lies: `cache` is a short word of ours, home and entry are any texts."""

    cache: str
    home: str
    entry: str = ""


class Found(msgspec.Struct, frozen=True):
    """An answer: the value or None, for how long it still counts (0.0 without one), and the home's generation."""

    value: bytes | None
    left_s: float
    generation: str


class SharedCache(Protocol):
    """Values that all processes of a fleet share. Methods raise `EngineUnavailable`."""

    @property
    def is_there(self) -> bool:
        """Whether anything is kept at all; where not, nobody needs to ask."""

    async def get(self, place: Place) -> Found:
        """Look for a value."""

    async def put(self, place: Place, value: bytes, *, ttl_s: float, generation: str) -> bool:
        """Keep a value for so long, unless its home was forgotten since `generation` was told.

        Args:
            ttl_s: Above 0 and at most `LONGEST_S`.
        Returns:
            Whether it is kept.
        """

    async def forget(self, cache: str, home: str) -> None:
        """Let go of everything of a home. Who was told a generation before it can write nothing any more."""


class NoSharedCache:
    """The second level of an engine that has none: a process that is alone needs no second copy."""

    is_there: Final = False

    async def get(self, _place: Place) -> Found:
        return Found(None, 0.0, NO_GENERATION)

    async def put(self, _place: Place, _value: bytes, *, ttl_s: float, generation: str) -> bool:
        return False

    async def forget(self, _cache: str, _home: str) -> None:
        pass
