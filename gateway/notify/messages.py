"""Requests and results of the notification methods. Our own: unknown fields are refused, so that no typing error is lost.

Requests over RPC are those of the API without `user`: it is the connected one.
"""

from typing import Any

import msgspec
from msgspec import UNSET, Raw, UnsetType

__all__ = [
    "AckRequest",
    "CancelRequest",
    "DeviceItem",
    "DeviceListRequest",
    "DeviceListResult",
    "DeviceRegisterRequest",
    "DeviceRegisterResult",
    "DeviceRemoveRequest",
    "Done",
    "NotifyRequest",
    "NotifyResult",
    "PreferenceItem",
    "PreferencesGetRequest",
    "PreferencesResult",
    "PreferencesSetRequest",
    "StatusRequest",
    "StatusResult",
    "StepItem",
]


class _Request(msgspec.Struct, forbid_unknown_fields=True):
    pass


class NotifyRequest(_Request):
    """Exactly one of `user` and `users`; at least one of `title`, `body` and `data`. Times in seconds, fractions allowed."""

    user: str | UnsetType = UNSET
    users: list[str] | UnsetType = UNSET
    title: str = ""
    body: str = ""
    data: Raw = Raw()
    category: str = ""
    priority: str = "normal"
    routes: list[str] | UnsetType = UNSET
    ack_wait_s: float | UnsetType = UNSET
    push_wait_s: float | UnsetType = UNSET
    ttl_s: float | UnsetType = UNSET
    collapse_key: str = ""
    link: str = ""
    image: str = ""
    idempotency_key: str = ""


class AcceptedItem(msgspec.Struct):
    """The id of a user's notification."""

    user: str
    id: str


class NotifyResult(msgspec.Struct):
    """One item per user, in the order asked."""

    notifications: list[AcceptedItem]


class AckRequest(_Request):
    """Says that the user saw it."""

    id: str
    user: str = ""


class CancelRequest(_Request):
    """Calls a notification off."""

    id: str


class StatusRequest(_Request):
    """Asks how a notification stands."""

    id: str


class Done(msgspec.Struct):
    """Done."""


class StateResult(msgspec.Struct):
    """The state after."""

    state: str


class StepItem(msgspec.Struct, omit_defaults=True):
    """One line of a timeline; `time` in Unix seconds, `address` masked."""

    route: str
    outcome: str
    time: float
    provider: str = ""
    address: str = ""
    device_id: str = ""
    attempt: int = 0
    detail: str = ""


class NotificationItem(msgspec.Struct):
    """A notification with its timeline; times in Unix seconds."""

    id: str
    user: str
    state: str
    priority: str
    category: str
    created_at: float
    expires_at: float
    steps: list[StepItem]


class StatusResult(msgspec.Struct):
    """How a notification stands."""

    notification: NotificationItem


class DeviceRegisterRequest(_Request):
    """An address. For webpush the token is the browser's subscription, as an object or as its JSON text."""

    provider: str
    token: Any
    user: str = ""
    platform: str = ""
    locale: str = ""
    timezone: str = ""


class DeviceRegisterResult(msgspec.Struct):
    """The id that the address is kept under."""

    id: str


class DeviceListRequest(_Request):
    """Asks for a user's devices."""

    user: str = ""


class DeviceItem(msgspec.Struct):
    """A device; its token is masked, `registered_at` in Unix seconds."""

    id: str
    provider: str
    platform: str
    locale: str
    timezone: str
    token: str
    registered_at: float


class DeviceListResult(msgspec.Struct):
    """A user's devices, oldest first."""

    items: list[DeviceItem]


class DeviceRemoveRequest(_Request):
    """Removes a device."""

    id: str
    user: str = ""


class PreferenceItem(_Request):
    """One word on a category and a route, "*" for all."""

    category: str
    route: str
    enabled: bool


class PreferencesGetRequest(_Request):
    """Asks for a user's preferences."""

    user: str = ""


class PreferencesSetRequest(_Request):
    """Replaces the named pairs; others stay."""

    preferences: list[PreferenceItem]
    user: str = ""


class PreferencesResult(msgspec.Struct):
    """A user's preferences, by category and route."""

    preferences: list[PreferenceItem]
