"""The notification methods over RPC: for the connected user, and for nobody else."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import msgspec
from msgspec import UnsetType

from broker.errors import BadInput
from broker.notification import Provider
from gateway.api.call import explain
from gateway.commands.rpc import RpcMethod
from gateway.notify.messages import (
    AckRequest,
    DeviceListRequest,
    DeviceRegisterRequest,
    DeviceRemoveRequest,
    PreferencesGetRequest,
    PreferencesSetRequest,
)
from gateway.notify.policy_messages import RoutingItem
from gateway.notify.service import NotificationService
from gateway.protocol import errors
from gateway.protocol.errors import ClientError

__all__ = ["rpc_methods", "user_method"]

# Every message to a number costs money, and a webhook goes wherever its address says: a client's word is not enough.
_OF_BACKENDS: Final = frozenset({Provider.SMS, Provider.WEBHOOK})


def rpc_methods(service: NotificationService) -> Mapping[str, RpcMethod]:
    """Make the built-in RPC methods."""
    return {
        "notification.ack": user_method(AckRequest, service.ack),
        "devices.register": user_method(DeviceRegisterRequest, service.device_register),
        "devices.list": user_method(DeviceListRequest, service.device_list),
        "devices.remove": user_method(DeviceRemoveRequest, service.device_remove),
        "preferences.get": user_method(PreferencesGetRequest, service.preferences_get),
        "preferences.set": user_method(PreferencesSetRequest, service.preferences_set),
    }


def user_method(request_type: type[msgspec.Struct], handle: Callable[[Any], Awaitable[msgspec.Struct]]) -> RpcMethod:
    """Make a method for the connected user of one that has a field `user`."""
    decoder = msgspec.json.Decoder(request_type)

    async def call(user: str, data: bytes) -> bytes:
        if not user:
            raise ClientError(errors.PERMISSION_DENIED, "anonymous clients have no notifications")
        try:
            request = decoder.decode(data or b"{}")
        except msgspec.ValidationError as exc:
            raise ClientError(errors.BAD_REQUEST, explain(exc, "data")) from None
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise ClientError(errors.BAD_REQUEST, "data must be a JSON object") from None
        if request.user:  # type: ignore[attr-defined]  # every request here has it
            raise BadInput("user", "must not be given: it is the connected one")
        if isinstance(request, DeviceRegisterRequest) and request.provider in _OF_BACKENDS:
            raise BadInput("provider", f"{request.provider} must be registered by the backend, over the API")
        if isinstance(request, PreferencesSetRequest) and (field := _field_of_backends(request)):
            raise BadInput(field, "sms and webhook must be set by the backend, over the API")
        return msgspec.json.encode(await handle(msgspec.structs.replace(request, user=user)))

    return call


def _field_of_backends(request: PreferencesSetRequest) -> str:
    """Name the field that asks for what only a backend may; empty where none does."""
    by_category = {} if isinstance(request.routing_by_category, UnsetType) else request.routing_by_category
    asked = {"routing": request.routing, **{f"routing_by_category.{name}": item for name, item in by_category.items()}}
    for field, item in asked.items():
        if not isinstance(item, RoutingItem) or isinstance(item.routes, UnsetType):
            continue
        if any(route == stage or route in stage for stage in item.routes for route in _OF_BACKENDS):
            return f"{field}.routes"
    return ""
