"""Devices as the API shows them."""

import msgspec
from msgspec import UNSET

from broker.notification import Device, Provider
from config.logs import mask_address
from gateway.notify.messages import DeviceItem

__all__ = ["device_item"]


def device_item(device: Device) -> DeviceItem:
    """Show a device, its token masked."""
    token = device.token
    if device.provider is Provider.WEBPUSH:
        token = msgspec.json.decode(token)["endpoint"]
    return DeviceItem(
        id=device.id,
        user=device.user,
        provider=device.provider,
        platform=device.platform,
        locale=device.locale,
        timezone=device.timezone,
        token=mask_address(token),
        registered_at=device.registered_at.timestamp(),
        app=device.app or UNSET,
    )
