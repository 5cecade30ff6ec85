"""The notification methods over the HTTP API, where the caller names the user."""

from gateway.api.method import Method
from gateway.notify.messages import (
    AckRequest,
    CancelRequest,
    DeviceListRequest,
    DeviceRegisterRequest,
    DeviceRemoveRequest,
    NotifyRequest,
    PreferencesGetRequest,
    PreferencesSetRequest,
    StatusRequest,
)
from gateway.notify.service import NotificationService

__all__ = ["notification_methods"]


def notification_methods(service: NotificationService) -> list[Method]:
    """Make the methods of this group."""
    return [
        Method("notify", NotifyRequest, service.notify, is_strict=True, group="Notifications"),
        Method("notification_ack", AckRequest, service.ack, is_strict=True, group="Notifications"),
        Method("notification_cancel", CancelRequest, service.cancel, is_strict=True, group="Notifications"),
        Method("notification_status", StatusRequest, service.status, is_strict=True, group="Notifications"),
        Method("device_register", DeviceRegisterRequest, service.device_register, is_strict=True, group="Devices"),
        Method("device_list", DeviceListRequest, service.device_list, is_strict=True, group="Devices"),
        Method("device_remove", DeviceRemoveRequest, service.device_remove, is_strict=True, group="Devices"),
        Method("preferences_get", PreferencesGetRequest, service.preferences_get, is_strict=True, group="Preferences"),
        Method("preferences_set", PreferencesSetRequest, service.preferences_set, is_strict=True, group="Preferences"),
    ]
