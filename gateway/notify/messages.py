"""Requests and results of the notification methods. Our own: unknown fields are refused, so that no typing error is lost.

Requests over RPC are those of the API without `user`: it is the connected one.
"""

from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, Raw, UnsetType

from gateway.notify.policy_messages import DigestItem, EscalateItem, HabitItem, Moment, QuietHoursItem, Routes, RoutingItem
from gateway.notify.template_messages import TemplateUseItem, VariantItem

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

# What fields mean, for the OpenAPI document. Over the API a user must be named, over RPC must not; so it has a zero value.
_User = Annotated[str, Meta(description="Id of the user.", extra={"is_required": True})]
_NotificationId = Annotated[str, Meta(description="Id of the notification, as `notify` gave it.")]
_DeviceIds = Annotated[list[str], Meta(description="Ids of devices.")]
_Users = Annotated[list[str], Meta(description="Ids of users.")]
_Category = Annotated[str, Meta(description="Kind of notification that users may switch off, such as `orders`; `*` for all.")]


class _Request(msgspec.Struct, forbid_unknown_fields=True):
    pass


class NotifyRequest(_Request):
    """Exactly one of `user`, `users` and `topic`; at least one of `title`, `body`, `data`, `template` and `variants`. Times in
    seconds, fractions allowed."""

    user: Annotated[str | UnsetType, Meta(description="Whom it is for.")] = UNSET
    users: Annotated[list[str] | UnsetType, Meta(description="Whom it is for; each gets a notification of their own.")] = UNSET
    topic: Annotated[str | UnsetType, Meta(description="Whose subscribers it is for: a campaign tells them.")] = UNSET
    title: Annotated[str, Meta(description="Headline.")] = ""
    body: Annotated[str, Meta(description="Text below the headline.")] = ""
    data: Annotated[Raw, Meta(description="JSON object for the app.")] = Raw()
    category: Annotated[str, Meta(description="Kind of notification, which users may switch off; such as `orders`.")] = ""
    priority: Annotated[str, Meta(description="`critical`, `high`, `normal` or `bulk`: the lane it travels in.")] = "normal"
    routes: Annotated[
        Routes | UnsetType,
        Meta(
            description="Ways to try, in order: `live`, `push`, `email`, `sms`, `webhook`; those in a list of their own are "
            "tried together. If left out the user's, the category's or the first three."
        ),
    ] = UNSET
    waits: Annotated[dict[str, float], Meta(description="Seconds by route before the next one has its turn.")] = {}
    stop_on: Annotated[str, Meta(description="`ack`, or `accepted`: no further route once a provider took it.")] = ""
    devices: Annotated[str, Meta(description="Push devices: `all`, `most_recent` or `one_per_platform`.")] = ""
    send_at: Annotated[
        Moment | UnsetType, Meta(description="When to tell it, in Unix seconds or RFC 3339; `ttl_s` counts from then.")
    ] = UNSET
    send_at_local: Annotated[str, Meta(description="Time of day on the user's clock at which to tell it next: `09:00`.")] = ""
    send_by_habit: Annotated[
        HabitItem | UnsetType,
        Meta(
            description="Tell it when its user usually opens, from `send_at` on if that is given; where no habit is known, at "
            "`send_at_local` or at once."
        ),
    ] = UNSET
    digest: Annotated[DigestItem | UnsetType, Meta(description="Collect it with others.")] = UNSET
    escalate: Annotated[EscalateItem | UnsetType, Meta(description="Tell somebody else if nobody sees it.")] = UNSET
    ack_wait_s: Annotated[float | UnsetType, Meta(description="Seconds that a connected user has to ack before a push.")] = (
        UNSET
    )
    push_wait_s: Annotated[float | UnsetType, Meta(description="Seconds after the push before the mail.")] = UNSET
    ttl_s: Annotated[float | UnsetType, Meta(description="Seconds after which it is not delivered any more.")] = UNSET
    collapse_key: Annotated[str, Meta(description="A later notification with the same one replaces it on devices.")] = ""
    link: Annotated[str, Meta(description="What opens when it is tapped.")] = ""
    image: Annotated[str, Meta(description="https address of a picture.")] = ""
    subtitle: Annotated[str, Meta(description="Line between title and body, where there is one.")] = ""
    badge: Annotated[int | UnsetType, Meta(description="Number on the app's icon; 0 takes it away.")] = UNSET
    sound: Annotated[str, Meta(description="Name of a sound in the app, or `none`; the usual one if left out.")] = ""
    thread: Annotated[str, Meta(description="Groups what is shown: a conversation, an order.")] = ""
    push_type: Annotated[
        str, Meta(description="`alert`, `background`, `voip` or `live-activity`; by the texts if left out.")
    ] = ""
    template: Annotated[TemplateUseItem | UnsetType, Meta(description="Texts from a template, instead of title and body.")] = (
        UNSET
    )
    experiment: Annotated[str, Meta(description="Name of the experiment that `variants` belong to.")] = ""
    variants: Annotated[
        list[VariantItem] | UnsetType,
        Meta(description="2 to 20 wordings, of which each user gets one, the same in every request of the experiment."),
    ] = UNSET
    inbox: Annotated[bool, Meta(description="Whether it lies in the user's inbox.")] = True
    dedup_window_s: Annotated[
        float | UnsetType,
        Meta(description="Whoever was told the same within so many seconds is not told again, and the answer names that one."),
    ] = UNSET
    supersede: Annotated[
        bool | UnsetType,
        Meta(
            description="Take the place of the user's last one with the same `collapse_key` and this: it ends if still pending."
        ),
    ] = UNSET
    idempotency_key: Annotated[
        str, Meta(description="A repeat with the same key and body stores nothing and answers with the same ids.")
    ] = ""


class AcceptedItem(msgspec.Struct):
    """The id of a user's notification."""

    user: str
    id: str


class NotifyResult(msgspec.Struct):
    """One item per user, in the order asked; for a topic none, and the id of the campaign that tells its subscribers."""

    notifications: list[AcceptedItem]
    campaign: str | UnsetType = UNSET


class AckRequest(_Request):
    """Says that the user saw it."""

    id: _NotificationId
    user: _User = ""


class CancelRequest(_Request):
    """Calls a notification off."""

    id: _NotificationId


class StatusRequest(_Request):
    """Asks how a notification stands."""

    id: _NotificationId


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
    """A notification with its timeline; times in Unix seconds. `marks` says when its user first saw, read, … it;
    `digested_into` is the id of the digest that told it."""

    id: str
    user: str
    state: str
    priority: str
    category: str
    created_at: float
    expires_at: float
    steps: list[StepItem]
    marks: dict[str, float] | UnsetType = UNSET
    experiment: str | UnsetType = UNSET
    variant: str | UnsetType = UNSET
    digested_into: str | UnsetType = UNSET


class StatusResult(msgspec.Struct):
    """How a notification stands."""

    notification: NotificationItem


class DeviceRegisterRequest(_Request):
    """An address. For webpush the token is the browser's subscription, as an object or as its JSON text."""

    provider: Annotated[str, Meta(description="`apns`, `fcm`, `webpush`, `email`, `sms` or `webhook`.")]
    token: Annotated[
        Any, Meta(description="What the provider knows it by; an address for `email`, a number like `+15005550006` for `sms`.")
    ]
    user: _User = ""
    platform: Annotated[str, Meta(description="Such as `ios`, `android`, `web`; by the provider if left out.")] = ""
    locale: Annotated[str, Meta(description="Language, such as `de` or `pt-BR`.")] = ""
    timezone: Annotated[str, Meta(description="IANA name, such as `Europe/Berlin`.")] = ""
    app: Annotated[str, Meta(description="Which of the provider's apps in the settings; its own if left out.")] = ""


class DeviceRegisterResult(msgspec.Struct):
    """The id that the address is kept under."""

    id: str


class DeviceFilterItem(_Request):
    """Which devices are meant: those that meet every list that is not empty."""

    ids: _DeviceIds = []
    users: _Users = []
    providers: Annotated[list[str], Meta(description="Providers: `apns`, `fcm`, `webpush`, `email`, `sms`, `webhook`.")] = []
    platforms: Annotated[list[str], Meta(description="Platforms, such as `ios`.")] = []


class DeviceListRequest(_Request):
    """Asks for a user's devices, or for those that a filter names, page by page."""

    user: Annotated[str, Meta(description="Id of the user; needed without a filter.")] = ""
    filter: Annotated[DeviceFilterItem | UnsetType, Meta(description="Which devices; an empty one means all.")] = UNSET
    include_total_count: Annotated[bool, Meta(description="Count them all, on every page.")] = False
    cursor: Annotated[str, Meta(description="Where to go on: `next_cursor` of the page before.")] = ""
    limit: Annotated[int, Meta(description="Most devices on a page, up to 1000; 0 means 100.")] = 0


class DeviceItem(msgspec.Struct):
    """A device; its token is masked, `registered_at` in Unix seconds."""

    id: str
    user: str
    provider: str
    platform: str
    locale: str
    timezone: str
    token: str
    registered_at: float
    app: str | UnsetType = UNSET


class DeviceListResult(msgspec.Struct, omit_defaults=True):
    """Devices, oldest first. `next_cursor` is there where more follow, `total_count` where it was asked for."""

    items: list[DeviceItem]
    next_cursor: str = ""
    total_count: int | UnsetType = UNSET


class DeviceRemoveRequest(_Request):
    """Removes a user's device, by `id`; or all that meet `ids` and `users`, where no match is success."""

    id: Annotated[str, Meta(description="Id of the device, as `device_register` gave it.")] = ""
    user: Annotated[str, Meta(description="Id of the user; needed with `id`.")] = ""
    ids: _DeviceIds = []
    users: _Users = []


class PreferenceItem(_Request):
    """One word on a category and a route, "*" for all."""

    category: _Category
    route: Annotated[str, Meta(description="`live`, `push`, `email`, `sms`, `webhook`; `*` for all.")]
    enabled: bool
    until: Annotated[Moment | UnsetType, Meta(description="It counts up to this moment only, such as a mute for a day.")] = (
        UNSET
    )


class PreferencesGetRequest(_Request):
    """Asks for a user's preferences."""

    user: _User = ""


class PreferencesSetRequest(_Request):
    """Replaces the named pairs and whatever else is given; the rest stays, and null takes something back."""

    preferences: Annotated[list[PreferenceItem], Meta(description="Pairs of category and route, each on or off.")] = []
    user: _User = ""
    quiet_hours: Annotated[QuietHoursItem | UnsetType | None, Meta(description="When push, email and sms wait.")] = UNSET
    snooze_until: Annotated[Moment | UnsetType | None, Meta(description="Until when they wait, once.")] = UNSET
    timezone: Annotated[str | UnsetType, Meta(description="IANA name of the user's zone; that of a device if empty.")] = UNSET
    routing: Annotated[RoutingItem | UnsetType | None, Meta(description="Which ways to go for this user.")] = UNSET
    routing_by_category: Annotated[
        dict[str, RoutingItem | None] | UnsetType,
        Meta(description="Which ways to go for some categories, before `routing`; others stay, and null takes one back."),
    ] = UNSET
    locale: Annotated[
        str | UnsetType, Meta(description="Language of texts by template, such as `pt-BR`; that of each device if empty.")
    ] = UNSET


class PreferencesResult(msgspec.Struct):
    """A user's preferences, by category and route, and what else they said; moments in Unix seconds."""

    preferences: list[PreferenceItem]
    quiet_hours: QuietHoursItem | UnsetType = UNSET
    snoozed_until: float | UnsetType = UNSET
    timezone: str | UnsetType = UNSET
    routing: RoutingItem | UnsetType = UNSET
    routing_by_category: dict[str, RoutingItem] | UnsetType = UNSET
    locale: str | UnsetType = UNSET
