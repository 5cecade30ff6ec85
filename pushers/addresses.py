"""How the address of a device is shown in a timeline or a log: enough to recognise it, too little to use it."""

import msgspec

from broker.notification import Device, Provider
from config.logs import mask_address

__all__ = ["masked"]


class _Subscription(msgspec.Struct):
    endpoint: str


_decoder = msgspec.json.Decoder(_Subscription)


def masked(device: Device) -> str:
    """Mask a device's address: a mailbox keeps its domain, what is called by URL its host; paths may be secrets."""
    if device.provider is Provider.WEBPUSH:
        try:
            endpoint = _decoder.decode(device.token).endpoint
        except msgspec.DecodeError:
            return "…"
    elif device.provider is Provider.WEBHOOK and device.token.startswith("https://"):
        endpoint = device.token
    else:
        return mask_address(device.token)
    host = endpoint.partition("://")[2].partition("/")[0]
    return f"{host}/…"
