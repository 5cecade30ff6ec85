"""What caches tell Prometheus."""

from typing import Any

from prometheus_client import CollectorRegistry, generate_latest

from broker.caching.cache import Cache, Terms
from broker.caching.caches import Caches
from broker.engines.memory.control import MemoryControl
from config.clock import ManualClock
from gateway.cache_metrics import CacheCollector


async def test_looks_entries_and_ages_are_told() -> None:
    clock = ManualClock()

    async def read(home: str, _entry: str) -> Any:
        return home

    caches = Caches(MemoryControl(), clock)
    cache = caches.add(Cache(Terms("names", limit=1, fresh_s=5.0), read, clock))
    for home, wait_s in (("a", 0.7), ("a", 0.0), ("b", 0.0), ("b", 0.0)):
        await cache.get(home)
        clock.move(wait_s)
    await caches.forget({"names": ("b",)})
    registry = CollectorRegistry()
    registry.register(CacheCollector(caches))
    lines = generate_latest(registry).decode().splitlines()
    assert 'heliograph_cache_looks_total{cache="names",level="local",result="hit"} 2.0' in lines
    assert 'heliograph_cache_looks_total{cache="names",level="local",result="miss"} 2.0' in lines
    assert 'heliograph_cache_entries{cache="names"} 0.0' in lines
    assert 'heliograph_cache_evictions_total{cache="names"} 1.0' in lines
    assert 'heliograph_cache_forgotten_total{cache="names"} 1.0' in lines
    assert 'heliograph_cache_age_seconds_bucket{cache="names",le="0.5"} 1.0' in lines
    assert 'heliograph_cache_age_seconds_bucket{cache="names",le="1.0"} 2.0' in lines
    assert 'heliograph_cache_age_seconds_count{cache="names"} 2.0' in lines
