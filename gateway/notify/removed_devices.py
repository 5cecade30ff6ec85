"""API methods about devices that providers called gone: `removed_device_list`, `device_restore`, `devices_restore` (N-24)."""

from datetime import UTC, datetime
from typing import Annotated, Final

import msgspec
from msgspec import UNSET, Meta, UnsetType

from broker.errors import BadInput
from broker.notification import Provider
from broker.removed_devices import RemovedDevice, RemovedDevices, RemovedFilter
from config.logs import get_logger
from gateway.api.method import Method
from gateway.notify.device_items import device_item
from gateway.notify.messages import DeviceItem

__all__ = ["DeviceRestoreRequest", "DevicesRestoreRequest", "RemovedDeviceListRequest", "removed_device_methods"]

_log = get_logger()

_PAGE: Final = 100
_MAX_PAGE: Final = 1000
_LAST_MOMENT: Final = datetime(9000, 1, 1, tzinfo=UTC).timestamp()


class RemovedDeviceListRequest(msgspec.Struct, forbid_unknown_fields=True):
    """Asks which devices can be restored. Every rule that is given must be met."""

    user: Annotated[str, Meta(description="Only those of a user.")] = ""
    provider: Annotated[str, Meta(description="Only those of a provider, such as `apns`.")] = ""
    app: Annotated[str | UnsetType, Meta(description="Only those of an app of the provider; empty for its own.")] = UNSET
    since: Annotated[float, Meta(description="Only those removed at this moment or later, in Unix seconds.")] = 0.0
    until: Annotated[float, Meta(description="Only those removed before this moment, in Unix seconds.")] = 0.0
    cursor: Annotated[str, Meta(description="`next_cursor` of the page before.")] = ""
    limit: Annotated[int, Meta(description="At most so many, up to 1000; 100 where it is 0.")] = 0


class RemovedDeviceItem(msgspec.Struct):
    """A device that was set aside, when (in Unix seconds), and what its provider said."""

    device: DeviceItem
    removed_at: float
    because: str


class RemovedDeviceListResult(msgspec.Struct):
    """Devices in the order of their removal; `next_cursor` is empty where no other page follows."""

    items: list[RemovedDeviceItem]
    next_cursor: str


class DeviceRestoreRequest(msgspec.Struct, forbid_unknown_fields=True):
    """Names a device that was set aside."""

    user: Annotated[str, Meta(description="Whose it was.")]
    id: Annotated[str, Meta(description="As `removed_device_list` tells it.")]


class DeviceRestoreResult(msgspec.Struct):
    """The device as it is registered again."""

    device: DeviceItem


class DevicesRestoreRequest(msgspec.Struct, forbid_unknown_fields=True):
    """Says which devices were removed by mistake: those of a provider within a time."""

    provider: Annotated[str, Meta(description="Whose answers were wrong, such as `apns`.")]
    since: Annotated[float, Meta(description="Those removed at this moment or later, in Unix seconds.")]
    app: Annotated[str | UnsetType, Meta(description="Only those of an app of the provider; empty for its own.")] = UNSET
    until: Annotated[float, Meta(description="Those removed before this moment, in Unix seconds; 0 for now.")] = 0.0
    cursor: Annotated[str, Meta(description="`next_cursor` of the call before.")] = ""
    limit: Annotated[int, Meta(description="At most so many with this call, up to 1000; 100 where it is 0.")] = 0


class DevicesRestoreResult(msgspec.Struct):
    """How many came back with this call, how many stay aside because their user has devices enough, and where to go on:
    call again with `next_cursor` until it is empty."""

    num_restored: int
    num_passed_over: int
    next_cursor: str


def removed_device_methods(removed: RemovedDevices) -> list[Method]:
    """Make the methods of this group."""
    desk = _Desk(removed)
    return [
        Method("removed_device_list", RemovedDeviceListRequest, desk.list, is_strict=True, group="Devices"),
        Method("device_restore", DeviceRestoreRequest, desk.restore, is_strict=True, group="Devices"),
        Method("devices_restore", DevicesRestoreRequest, desk.restore_all, is_strict=True, group="Devices"),
    ]


class _Desk:
    def __init__(self, removed: RemovedDevices) -> None:
        self._removed = removed

    async def list(self, request: RemovedDeviceListRequest) -> RemovedDeviceListResult:
        """List devices that a provider called gone and that can still be restored."""
        wanted = _wanted(request)
        page = await self._removed.find(wanted, cursor=request.cursor, limit=_page_size(request.limit))
        return RemovedDeviceListResult([_item(one) for one in page.devices], page.next_cursor)

    async def restore(self, request: DeviceRestoreRequest) -> DeviceRestoreResult:
        """Register a device again as it was, under its id."""
        if not request.user:
            raise BadInput("user", "must not be empty")
        return DeviceRestoreResult(device_item(await self._removed.restore(request.user, request.id)))

    async def restore_all(self, request: DevicesRestoreRequest) -> DevicesRestoreResult:
        """Undo a mass removal, a page with each call.

        Mend first what made the provider answer so: whatever it calls gone again is removed again.
        """
        if not request.provider:
            raise BadInput("provider", "must not be empty")
        if not request.since:
            raise BadInput("since", "must be given")
        wanted = _wanted(request)
        page = await self._removed.restore_all(wanted, cursor=request.cursor, limit=_page_size(request.limit))
        _log.warning("devices.restored", provider=request.provider, restored=page.restored, passed_over=page.passed_over)
        return DevicesRestoreResult(page.restored, page.passed_over, page.next_cursor)


def _wanted(request: RemovedDeviceListRequest | DevicesRestoreRequest) -> RemovedFilter:
    if request.provider and request.provider not in tuple(Provider):
        raise BadInput("provider", f"must be one of {', '.join(Provider)}")
    user = request.user if isinstance(request, RemovedDeviceListRequest) else ""
    app = None if request.app is UNSET else request.app
    return RemovedFilter(user, request.provider, app, _moment("since", request.since), _moment("until", request.until))


def _moment(field: str, seconds: float) -> datetime | None:
    if not 0 <= seconds <= _LAST_MOMENT:
        raise BadInput(field, "must be a moment in Unix seconds")
    return datetime.fromtimestamp(seconds, UTC) if seconds else None


def _page_size(limit: int) -> int:
    if not 0 <= limit <= _MAX_PAGE:
        raise BadInput("limit", f"must be from 0 to {_MAX_PAGE}")
    return limit or _PAGE


def _item(removed: RemovedDevice) -> RemovedDeviceItem:
    return RemovedDeviceItem(device_item(removed.device), round(removed.removed_at.timestamp(), 3), removed.because)
