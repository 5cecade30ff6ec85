"""How the address of a device is shown in a timeline or a log: enough to recognise it, too little to use it."""

import msgspec

from broker.notification import Device, Provider
from config.logs import mask_address

__all__ = ["masked"]


class _Subscription(msgspec.Struct):
    endpoint: str


_decoder = msgspec.json.Decoder(_Subscription)


def masked(device: Device) -> str:
    """Mask a device's address: a mailbox keeps its domain, a browser's subscription the host of its push service."""
    if device.provider is not Provider.WEBPUSH:
        return mask_address(device.token)
    try:
        endpoint = _decoder.decode(device.token).endpoint
    except msgspec.DecodeError:
        return "…"
    host = endpoint.partition("://")[2].partition("/")[0]
    return f"{host}/…"
