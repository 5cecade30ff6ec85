"""The memory engine has one process, whose first level is all there is: its second level keeps nothing, and says so."""

from broker.cache import NO_GENERATION, Found, Place
from broker.engines.memory.engine import MemoryEngine
from config.clock import ManualClock

PLACE = Place("preferences", "ann", "1")


async def test_it_keeps_nothing():
    cache = MemoryEngine(ManualClock()).cache
    assert not cache.is_there
    assert await cache.put(PLACE, b"x", ttl_s=60, generation=NO_GENERATION) is False
    await cache.forget("preferences", "ann")
    assert await cache.get(PLACE) == Found(None, 0.0, NO_GENERATION)
