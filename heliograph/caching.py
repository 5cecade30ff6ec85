"""What a process remembers of its store: put around the ports once, so that nobody who changes something can forget to tell."""

import msgspec
from prometheus_client import REGISTRY

from broker.caching.caches import Caches
from broker.caching.devices import TellingDevices, TellingRemovedDevices, devices_cache
from broker.caching.erasure import TellingErasure
from broker.caching.preferences import TellingPreferences, preferences_cache
from broker.caching.remembered import Remembered
from broker.caching.templates import CachedTemplates
from broker.engines.engine import Engine
from broker.store.store import Store
from config.clock import Clock
from gateway.cache_metrics import CacheCollector
from heliograph.ground import Ground

__all__ = ["remember", "with_caches"]


def remember(store: Store, engine: Engine, clock: Clock) -> Remembered:
    """Make the caches of a process, and put them around the ports of its store."""
    caches = Caches(engine.control, clock)
    preferences = caches.add(preferences_cache(store.preferences, clock, engine.cache))
    devices = caches.add(devices_cache(store.devices, clock))
    store.preferences = TellingPreferences(store.preferences, caches)
    store.devices = TellingDevices(store.devices, caches)
    store.removed_devices = TellingRemovedDevices(store.removed_devices, caches)
    store.erasure = TellingErasure(store.erasure, caches)
    store.templates = CachedTemplates(store.templates, caches, clock, engine.cache)
    return Remembered(caches, preferences, devices)


def with_caches(ground: Ground) -> Ground:
    """Give a process's ground its caches, which tell metrics until all parts have ended."""
    remembered = remember(ground.store, ground.engine, ground.clock)
    collector = CacheCollector(remembered.caches)
    REGISTRY.register(collector)
    ground.resources.callback(REGISTRY.unregister, collector)
    ground.resources.push_async_callback(remembered.caches.close)
    return msgspec.structs.replace(ground, remembered=remembered)
