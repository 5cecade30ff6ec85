"""Port: devices that their providers called gone, kept aside for a while so that a mistake can be undone (N-24).

They are in nobody's way: no plan, send or list sees them. What a user or the application removes is not among them, and goes
for good. An address that is registered again is not kept here any longer.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

import msgspec

from broker.notification import Device

__all__ = ["RemovedDevice", "RemovedDevices", "RemovedFilter", "RemovedPage", "RestoredPage"]


class RemovedDevice(msgspec.Struct, frozen=True):
    """A device, when it was set aside, and the provider's words that led to it."""

    device: Device
    removed_at: datetime
    because: str


class RemovedFilter(msgspec.Struct, frozen=True):
    """Which are meant: those that meet every rule here; "" and None let all through. `app` "" is the provider's own.

    `since` is the first moment of removal that counts, `until` the first that does not any more.
    """

    user: str = ""
    provider: str = ""
    app: str | None = None
    since: datetime | None = None
    until: datetime | None = None


class RemovedPage(msgspec.Struct, frozen=True):
    """Devices in the order in which they were removed; `next_cursor` is empty where no other page follows."""

    devices: Sequence[RemovedDevice]
    next_cursor: str


class RestoredPage(msgspec.Struct, frozen=True):
    """How many devices of a page were restored, and how many not since their users have enough others."""

    restored: int
    passed_over: int
    next_cursor: str


class RemovedDevices(Protocol):
    """The devices that were set aside. All methods raise `StoreUnavailable`."""

    async def find(self, wanted: RemovedFilter, *, cursor: str = "", limit: int) -> RemovedPage:
        """List devices, at most `limit`, behind where a former page ended.

        Raises:
            BadInput: Naming `cursor`: no page has ended so.
        """

    async def restore(self, user: str, device_id: str) -> Device:
        """Put a device back as it was, with its id and its time of registration: a provider that rightly calls it gone later
        has it removed again.

        Raises:
            NotFound: No such device is set aside for this user.
            BadInput: Naming `user`, who has as many devices as may be.
        """

    async def restore_all(self, wanted: RemovedFilter, *, cursor: str = "", limit: int) -> RestoredPage:
        """Put a page of devices back, in one transaction; whose user has as many as may be is passed over and stays aside.

        Raises:
            BadInput: Naming `cursor`: no page has ended so.
        """

    async def purge(self, *, before: datetime, limit: int) -> int:
        """Let go for good of devices that were removed before a moment, the longest ago first; tells how many."""
