"""What a process remembers of its store: put around the ports once, so that nobody who changes something can forget to tell."""

import msgspec

from broker.caching.cache import Cache
from broker.caching.caches import Caches
from broker.caching.devices import TellingDevices, TellingRemovedDevices, devices_cache
from broker.caching.erasure import TellingErasure
from broker.caching.preferences import TellingPreferences, UserWords, preferences_cache
from broker.caching.templates import CachedTemplates
from broker.engines.engine import Engine
from broker.notification import Device
from broker.store.store import Store
from config.clock import Clock

__all__ = ["Remembered", "remember"]


class Remembered(msgspec.Struct, frozen=True):
    """The caches, all of them and those that are asked by name."""

    caches: Caches
    preferences: Cache[UserWords]
    devices: Cache[tuple[Device, ...]]


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
