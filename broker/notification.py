"""The values of the notification path: what someone ought to learn, whom it may reach where, and what became of it."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import IntEnum, StrEnum
from typing import Final

import msgspec

from broker.confirmations import Marked

__all__ = [
    "DEFAULT_ROUTES",
    "MAX_USERS",
    "NO_JSON",
    "ROUTES",
    "Accepted",
    "Content",
    "Device",
    "Draft",
    "Entry",
    "Lane",
    "Notification",
    "NotificationStatus",
    "Outcome",
    "Preference",
    "Provider",
    "Route",
    "State",
    "TemplateUse",
    "Variant",
    "carrier_of",
]

MAX_USERS: Final = 1000
# The one empty payload: by its identity an encoder knows that there is nothing to write.
NO_JSON: Final = msgspec.Raw()


class Lane(IntEnum):
    """A priority class of the pipeline; lower goes first."""

    CRITICAL = 0
    HIGH = 1
    NORMAL = 2
    BULK = 3


class Route(StrEnum):
    """A way to reach a user."""

    LIVE = "live"
    PUSH = "push"
    EMAIL = "email"
    SMS = "sms"
    WEBHOOK = "webhook"


ROUTES: Final = tuple(Route)
# What a request that names no routes means; the others cost money or reach machines, so they are asked for by name.
DEFAULT_ROUTES: Final = (Route.LIVE, Route.PUSH, Route.EMAIL)


class Provider(StrEnum):
    """Who carries a delivery to a device or a mailbox."""

    APNS = "apns"
    FCM = "fcm"
    WEBPUSH = "webpush"
    EMAIL = "email"
    SMS = "sms"
    WEBHOOK = "webhook"

    @property
    def route(self) -> Route:
        """The route that this provider serves."""
        return _ROUTE_BY_PROVIDER.get(self, Route.PUSH)


_ROUTE_BY_PROVIDER: Final[Mapping[Provider, Route]] = {
    Provider.EMAIL: Route.EMAIL,
    Provider.SMS: Route.SMS,
    Provider.WEBHOOK: Route.WEBHOOK,
}


def carrier_of(provider: Provider, app: str) -> str:
    """Name who carries deliveries: a provider, or one of its apps as "apns:kiosk".

    Each has a queue, a rate and a breaker of its own, so that one that is away or badly set up harms no other.
    """
    return f"{provider.value}:{app}" if app else provider.value


class State(StrEnum):
    """Where a notification stands; every state but pending is final, save that a late ack is still told."""

    PENDING = "pending"
    ACKNOWLEDGED = "acknowledged"  # somebody saw it
    EXHAUSTED = "exhausted"  # every route used, accepted by a provider, nobody acknowledged
    FAILED = "failed"  # no route could take it
    EXPIRED = "expired"
    CANCELLED = "cancelled"

    @property
    def accepts_ack(self) -> bool:
        """Whether an ack changes this state; after cancelled and expired it is taken without effect."""
        return self in (State.PENDING, State.EXHAUSTED, State.FAILED)


class Outcome(StrEnum):
    """How one attempt on one route ended, as the timeline tells it."""

    PUBLISHED = "published"  # live: handed to the user's connections
    OFFLINE = "offline"  # live: the user holds no connection
    ACCEPTED = "accepted"  # the provider took it: not yet seen
    RETRY = "retry"  # temporary; will be tried again
    UNREGISTERED = "unregistered"  # the address is dead and was removed
    REFUSED = "refused"  # this message can never pass there
    PAUSED = "paused"  # the provider's settings are wrong or its breaker is open
    GAVE_UP = "gave_up"  # the last retry failed
    UNKNOWN = "unknown"  # no answer, and a repeat could double
    MUTED = "muted"  # a preference switches this route off
    SUPPRESSED = "suppressed"  # the address bounced or complained before: it is left alone
    REPLAYED = "replayed"  # somebody had it tried anew after it had failed
    ACKNOWLEDGED = "acknowledged"
    CANCELLED = "cancelled"
    EXPIRED = "expired"


class TemplateUse(msgspec.Struct, frozen=True, omit_defaults=True):
    """Whose texts are told, as they stood when the request was accepted; `variables` is a JSON object as raw text, or empty."""

    name: str
    version: int
    variables: msgspec.Raw = NO_JSON


class Content(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is told, the same for every user of a request. `data` is a JSON object as raw text, or empty.

    With a `template` the texts are made when it is told, in the language of whom it is told to; `html` is made with them, and
    `unsubscribe` is the address that a mail names for being left alone.
    """

    title: str = ""
    body: str = ""
    data: msgspec.Raw = NO_JSON
    category: str = ""
    link: str = ""
    image: str = ""
    collapse_key: str = ""
    html: str = ""
    template: TemplateUse | None = None
    unsubscribe: str = ""


class Variant(msgspec.Struct, frozen=True, omit_defaults=True):
    """One of the wordings that an experiment compares; every user gets one, and always the same."""

    name: str
    weight: float
    title: str = ""
    body: str = ""
    template: TemplateUse | None = None

    def of(self, content: Content) -> Content:
        """Put this wording into a request's content."""
        return msgspec.structs.replace(content, title=self.title, body=self.body, template=self.template)


class Draft(msgspec.Struct, frozen=True):
    """A valid request to notify, before it has ids."""

    users: tuple[str, ...]
    content: Content
    lane: Lane
    routes: tuple[Route, ...]
    ack_wait_s: float
    push_wait_s: float
    ttl_s: float
    correlation_id: str = ""
    inbox: bool = True
    experiment: str = ""
    variants: tuple[Variant, ...] = ()


class Accepted(msgspec.Struct, frozen=True):
    """The id that a user's notification was stored under."""

    user: str
    id: str


class Notification(msgspec.Struct, frozen=True):
    """One user's notification. The id is a UUID (version 7) and the handle at every provider."""

    id: str
    user: str
    content: Content
    lane: Lane
    routes: tuple[Route, ...]
    ack_wait_s: float
    push_wait_s: float
    created_at: datetime
    expires_at: datetime
    state: State = State.PENDING
    correlation_id: str = ""
    experiment: str = ""
    variant: str = ""

    def remaining(self, now: datetime) -> timedelta:
        """How long it is still worth telling; negative once it has expired."""
        return self.expires_at - now


class Device(msgspec.Struct, frozen=True):
    """An address of a user: an app installation, a browser's subscription (its JSON as the token), a mailbox, a phone number
    or where a webhook goes. `app` is one of the apps that the settings list for its provider; empty for the provider's own."""

    id: str
    user: str
    provider: Provider
    token: str
    platform: str
    registered_at: datetime
    locale: str = ""
    timezone: str = ""
    app: str = ""

    @property
    def carrier(self) -> str:
        """Who carries deliveries to it."""
        return carrier_of(self.provider, self.app)


class Preference(msgspec.Struct, frozen=True):
    """A user's word on a category (or "*") and a route (or "*")."""

    category: str
    route: str
    enabled: bool


class Entry(msgspec.Struct, frozen=True):
    """One line of a notification's timeline. `address` is masked already; `detail` is for people."""

    route: str
    outcome: Outcome
    at: datetime
    provider: str = ""
    address: str = ""
    device_id: str = ""
    attempt: int = 0
    detail: str = ""


class NotificationStatus(msgspec.Struct, frozen=True):
    """A notification, its timeline, oldest line first, and the marks that its user left."""

    notification: Notification
    entries: tuple[Entry, ...]
    marks: tuple[Marked, ...] = ()


LANE_BY_PRIORITY: Final[Mapping[str, Lane]] = {lane.name.lower(): lane for lane in Lane}
