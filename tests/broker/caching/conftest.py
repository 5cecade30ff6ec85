"""A second level in memory that can be away, and a store that counts, can be away and can be slow."""

import asyncio
from collections.abc import Callable

import pytest

from broker.cache import Found, Place
from broker.errors import EngineUnavailable, StoreUnavailable
from config.clock import ManualClock


class Shelf:
    """Plays the port `SharedCache`."""

    is_there = True

    def __init__(self, clock: ManualClock) -> None:
        self.clock = clock
        self.is_away = False
        self.values: dict[Place, tuple[bytes, float, str]] = {}
        self.generations: dict[tuple[str, str], str] = {}

    async def get(self, place: Place) -> Found:
        self._answer()
        generation = self.generations.get((place.cache, place.home), "")
        value, until, written_under = self.values.get(place, (b"", 0.0, ""))
        left_s = until - self.clock.monotonic()
        if left_s <= 0 or written_under != generation:
            return Found(None, 0.0, generation)
        return Found(value, left_s, generation)

    async def put(self, place: Place, value: bytes, *, ttl_s: float, generation: str) -> bool:
        self._answer()
        if generation != self.generations.get((place.cache, place.home), ""):
            return False
        self.values[place] = (value, self.clock.monotonic() + ttl_s, generation)
        return True

    async def forget(self, cache: str, home: str) -> None:
        self._answer()
        self.generations[cache, home] = str(len(self.generations)) + str(self.clock.new_id())

    def _answer(self) -> None:
        if self.is_away:
            raise EngineUnavailable("the shelf is away")


class Numbers:
    """A store of one number per home; `read` is what a cache asks, and tells what stood there when it was asked."""

    def __init__(self) -> None:
        self.values: dict[str, int] = {}
        self.reads = 0
        self.is_away = False
        self.gate = asyncio.Event()
        self.gate.set()

    async def read(self, home: str, entry: str) -> int:
        self.reads += 1
        value, is_away = self.values.get(home, 0), self.is_away
        await self.gate.wait()
        if is_away:
            raise StoreUnavailable("the store is away")
        return value


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def make_shelf() -> Callable[[ManualClock], Shelf]:
    return Shelf


@pytest.fixture
def make_numbers() -> Callable[[], Numbers]:
    return Numbers
