"""The values of the notification path: what someone ought to learn, whom it may reach where, and what became of it."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import IntEnum, StrEnum
from typing import Final

import msgspec

from broker.confirmations import Marked
from broker.routing import DEFAULT_ROUTES, ROUTES, Route, RoutePolicy

__all__ = [
    "DEFAULT_ROUTES",
    "MAX_USERS",
    "NO_JSON",
    "ROUTES",
    "URL_DEVICE",
    "Accepted",
    "Collected",
    "CollectedItem",
    "Content",
    "Device",
    "Digest",
    "Draft",
    "Entry",
    "Escalation",
    "Lane",
    "Notification",
    "NotificationStatus",
    "Outcome",
    "Preference",
    "Provider",
    "PushType",
    "Route",
    "State",
    "TemplateUse",
    "Terms",
    "Variant",
    "carrier_of",
    "device_of_url",
]

MAX_USERS: Final = 1000
# The one empty payload: by its identity an encoder knows that there is nothing to write.
NO_JSON: Final = msgspec.Raw()
# As which device an address goes that a notification brings with it; ids of registered ones are UUIDs.
URL_DEVICE: Final = "url"


class Lane(IntEnum):
    """A priority class of the pipeline; lower goes first."""

    CRITICAL = 0
    HIGH = 1
    NORMAL = 2
    BULK = 3


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


class PushType(StrEnum):
    """What a push is for, where phones make a difference: to be shown, to wake the app, to ring, to change a live activity."""

    ALERT = "alert"
    BACKGROUND = "background"
    VOIP = "voip"
    LIVE_ACTIVITY = "live-activity"


class State(StrEnum):
    """Where a notification stands; every state but pending is final, save that a late ack is still told."""

    PENDING = "pending"
    ACKNOWLEDGED = "acknowledged"  # somebody saw it
    EXHAUSTED = "exhausted"  # every route used, accepted by a provider, nobody acknowledged
    FAILED = "failed"  # no route could take it
    EXPIRED = "expired"
    CANCELLED = "cancelled"
    DIGESTED = "digested"  # told in one message with others, which goes the routes in its place
    HELD_OUT = "held_out"  # its user is of an experiment's control group, which is told nothing

    @property
    def accepts_ack(self) -> bool:
        """Whether an ack changes this state; after cancelled and expired it is taken without effect."""
        return self in (State.PENDING, State.EXHAUSTED, State.FAILED, State.DIGESTED)


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
    DEFERRED = "deferred"  # put off: the user has quiet hours, or has asked for peace until then
    CAPPED = "capped"  # the user has got as many of this category as they are to get: it stays in the inbox
    DIGESTED = "digested"  # collected with others, which are told in one message
    ESCALATED = "escalated"  # nobody saw it in time, so that another user is told
    HELD_OUT = "held_out"  # its user is of the control group: nothing is told
    SUPPRESSED = "suppressed"  # the address bounced or complained before: it is left alone
    SKIPPED = "skipped"  # its carrier's breaker is open, and another way was tried at once
    REPLAYED = "replayed"  # somebody had it tried anew after it had failed
    ACKNOWLEDGED = "acknowledged"
    CANCELLED = "cancelled"
    EXPIRED = "expired"


class TemplateUse(msgspec.Struct, frozen=True, omit_defaults=True):
    """Whose texts are told, as they stood when the request was accepted; `variables` is a JSON object as raw text, or empty."""

    name: str
    version: int
    variables: msgspec.Raw = NO_JSON


class CollectedItem(msgspec.Struct, frozen=True, omit_defaults=True):
    """One of those that a digest tells: its texts, or the template that makes them; `at` in Unix seconds, `data` as in a
    content."""

    id: str
    at: float
    title: str = ""
    body: str = ""
    link: str = ""
    data: msgspec.Raw = NO_JSON
    template: TemplateUse | None = None


class Collected(msgspec.Struct, frozen=True):
    """What a digest tells whose texts are made for each reader: of how many, and the newest of them, newest first."""

    count: int
    items: tuple[CollectedItem, ...]


class Content(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is told, the same for every user of a request. `data` is a JSON object as raw text, or empty.

    With a `template`, and of what is `collected`, the texts are made when it is told, in the language of whom it is told to;
    `html` is made with them, and
    `unsubscribe` is the address that a mail names for being left alone, `pixel` that of the picture which tells that it was
    shown. `badge` is the number on the app's icon, 0 for none;
    `sound` the name of one, "none" for silence; `thread` groups what is shown. Without a `push_type` it follows from the texts.
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
    pixel: str = ""
    subtitle: str = ""
    badge: int | None = None
    sound: str = ""
    thread: str = ""
    push_type: PushType | None = None
    collected: Collected | None = None

    @property
    def is_worded(self) -> bool:
        """Whether the texts are there, so that nothing has to be made for a reader."""
        return self.template is None and self.collected is None

    @property
    def effective_push_type(self) -> PushType:
        """The push type: the one asked for; else something to see is an alert, and what only the app reads stays silent."""
        return self.push_type or (PushType.ALERT if self.title or self.body else PushType.BACKGROUND)


class Variant(msgspec.Struct, frozen=True, omit_defaults=True):
    """One of the wordings that an experiment compares; every user gets one, and always the same. Whoever gets the one that
    `is_holdout` is told nothing, and shows what the others would have done anyhow."""

    name: str
    weight: float
    title: str = ""
    body: str = ""
    template: TemplateUse | None = None
    is_holdout: bool = False

    def of(self, content: Content) -> Content:
        """Put this wording into a request's content."""
        return msgspec.structs.replace(content, title=self.title, body=self.body, template=self.template)


class Terms(msgspec.Struct, frozen=True, omit_defaults=True):
    """Under which conditions a notification goes its ways.

    Attributes:
        routing: What the request says about routes; None leaves nothing to others: `routes` are walked in turn.
        send_at: Nothing is told before; its time to live counts from then.
        send_at_local: "HH:MM" by the user's clock, the next time after the request; nothing is told before.
        by_habit: It is told when its user usually opens, within a day or until `latest`; where nothing is known of that, at
            `send_at_local` or at once.
        arrives: It enters the inbox with its first decision only.
        collects: It is a digest that still waits for what it is to tell; "{count}" in this headline becomes how many.
        collects_until: "HH:MM" by the user's clock, any of which ends the wait.
        escalates: The notification that nobody saw, whose escalation this is.
        is_aimed: It goes to the devices that are listed for it, and to no other of its user.
        to_url: The one address that it goes to, by webhook and whatever its user has registered or switched off.
    """

    routing: RoutePolicy | None = None
    send_at: datetime | None = None
    send_at_local: str = ""
    by_habit: bool = False
    latest: datetime | None = None
    arrives: bool = False
    collects: str = ""
    collects_until: tuple[str, ...] = ()
    escalates: str = ""
    is_aimed: bool = False
    to_url: str = ""


class Digest(msgspec.Struct, frozen=True):
    """Collects notifications of one user under a key, and tells them in one message.

    Attributes:
        window_s: For so long from the first one.
        title: As `Terms.collects`.
        longest_s: If above 0, each further one begins the window anew, for at most so long from the first one.
        at: Instead of a window: until the user's clock shows one of these times, "HH:MM".
        first_at_once: What opens the window is not collected, but told by itself.
        template: What makes the texts, of `items` and `count`.
    """

    key: str
    window_s: float
    title: str
    longest_s: float = 0.0
    at: tuple[str, ...] = ()
    first_at_once: bool = False
    template: TemplateUse | None = None


class Escalation(msgspec.Struct, frozen=True):
    """Tells another user, or calls an address, where nobody has seen a notification so long after it was to be told; exactly
    one of `to_user` and `to_url` is there, and `routing` says the way to the former."""

    to_user: str
    after_s: float
    routing: RoutePolicy
    to_url: str = ""


class Draft(msgspec.Struct, frozen=True):
    """A valid request to notify, before it has ids.

    Attributes:
        dedup_window_s: Above 0, whoever was told the same within so long is not told again.
        supersedes: What is still pending of a user's older ones with the same collapse key ends.
        trace: The `traceparent` of the request, or a link to it (`config.tracing`); only where that is written.
    """

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
    terms: Terms = Terms()
    digest: Digest | None = None
    escalation: Escalation | None = None
    dedup_window_s: float = 0.0
    supersedes: bool = False
    trace: str = ""


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
    terms: Terms = Terms()
    trace: str = ""

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


def device_of_url(notification: Notification) -> Device | None:
    """Make the device of a notification that brings its address with it."""
    if not (url := notification.terms.to_url):
        return None
    created_at = notification.created_at
    return Device(URL_DEVICE, notification.user, Provider.WEBHOOK, url, Provider.WEBHOOK.value, created_at)


class Preference(msgspec.Struct, frozen=True):
    """A user's word on a category (or "*") and a route (or "*"); with `until` it counts up to that moment only."""

    category: str
    route: str
    enabled: bool
    until: datetime | None = None


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
    """A notification, its timeline, oldest line first, the marks that its user left, and the digest that has told it."""

    notification: Notification
    entries: tuple[Entry, ...]
    marks: tuple[Marked, ...] = ()
    digested_into: str = ""


LANE_BY_PRIORITY: Final[Mapping[str, Lane]] = {lane.name.lower(): lane for lane in Lane}
