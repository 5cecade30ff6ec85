"""Users' devices, remembered for those who show them or choose a language by them; in the process only.

Their tokens are secrets and addresses of persons, which belong into the store alone: what lies in Redis is copied to replicas
and files of its own, where no erasure finds it. Sends never ask here: a claim reads devices in its own transaction.
"""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Final

from broker.caching.cache import Cache, Terms
from broker.caching.caches import Caches
from broker.devices import DeviceFilter, Devices, Registration
from broker.notification import Device
from broker.removed_devices import RemovedDevices, RemovedFilter, RemovedPage, RestoredPage
from config.clock import Clock

__all__ = ["DEVICES", "TellingDevices", "TellingRemovedDevices", "device_tag", "devices_cache"]

DEVICES: Final = Terms("devices", limit=10_000, fresh_s=5.0, nothing_s=5.0)


def device_tag(device_id: str) -> str:
    """Name the tag by which the list is let go of that has a device, whoever's it is."""
    return f"device:{device_id}"


def devices_cache(devices: Devices, clock: Clock) -> Cache[tuple[Device, ...]]:
    """Make the cache; its homes are users, whose devices it has oldest first."""

    async def read(user: str, _entry: str) -> tuple[Device, ...]:
        return tuple(await devices.of_user(user))

    return Cache(DEVICES, read, clock, tags_of=lambda found: [device_tag(device.id) for device in found])


class TellingDevices:
    """Implements `broker.devices.Devices`: what is read is what the store has, what is changed is told."""

    def __init__(self, devices: Devices, caches: Caches) -> None:
        self._devices, self._caches = devices, caches

    async def register(self, registration: Registration) -> Device:
        user = registration.user
        # An address keeps its id when it moves: its former owner's list has it, too.
        return await self._caches.change(
            self._devices.register(registration),
            {DEVICES.name: (user,)},
            also=lambda device: {DEVICES.name: (user, device_tag(device.id))},
        )

    async def of_user(self, user: str) -> Sequence[Device]:
        return await self._devices.of_user(user)

    async def remove(self, user: str, device_id: str) -> bool:
        return await self._caches.change(self._devices.remove(user, device_id), {DEVICES.name: (user,)})

    async def find(self, wanted: DeviceFilter, *, after: str = "", limit: int) -> Sequence[Device]:
        return await self._devices.find(wanted, after=after, limit=limit)

    async def count(self, wanted: DeviceFilter) -> int:
        return await self._devices.count(wanted)

    async def remove_all(self, wanted: DeviceFilter) -> int:
        # Where it names neither users nor devices, any list may be meant.
        return await self._caches.change(self._devices.remove_all(wanted), {DEVICES.name: _tags(wanted)})


def _tags(wanted: DeviceFilter) -> Collection[str]:
    return [*wanted.users, *(device_tag(device_id) for device_id in wanted.ids)]


class TellingRemovedDevices:
    """Implements `broker.removed_devices.RemovedDevices`: what comes back is told."""

    def __init__(self, removed: RemovedDevices, caches: Caches) -> None:
        self._removed, self._caches = removed, caches

    async def find(self, wanted: RemovedFilter, *, cursor: str = "", limit: int) -> RemovedPage:
        return await self._removed.find(wanted, cursor=cursor, limit=limit)

    async def restore(self, user: str, device_id: str) -> Device:
        return await self._caches.change(self._removed.restore(user, device_id), {DEVICES.name: (user,)})

    async def restore_all(self, wanted: RemovedFilter, *, cursor: str = "", limit: int) -> RestoredPage:
        users = (wanted.user,) if wanted.user else ()
        return await self._caches.change(self._removed.restore_all(wanted, cursor=cursor, limit=limit), {DEVICES.name: users})

    async def purge(self, *, before: datetime, limit: int) -> int:
        return await self._removed.purge(before=before, limit=limit)
