"""The caches of a process that are asked by name, with all of them."""

import msgspec

from broker.caching.cache import Cache
from broker.caching.caches import Caches
from broker.caching.preferences import UserWords
from broker.notification import Device

__all__ = ["Remembered"]


class Remembered(msgspec.Struct, frozen=True):
    """For those who show what users said and have; whoever decides or changes asks the store."""

    caches: Caches
    preferences: Cache[UserWords]
    devices: Cache[tuple[Device, ...]]
