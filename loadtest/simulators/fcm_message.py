"""The body of `messages:send`, FCM HTTP v1: every field that the service knows, by Google's REST reference.

Google's JSON takes field names in camelCase as well; here only the snake_case of its own examples and libraries passes.
"""

import re
from typing import Annotated, Any, Final, Literal

import msgspec

__all__ = ["InvalidMessage", "Message", "SendRequest", "parse_send_request"]

_LIMIT_BYTES: Final = 4096
_TOPIC_LIMIT_BYTES: Final = 2048
_RESERVED_KEY: Final = re.compile(r"(from|message_type|gcm.*|google.*)")
_AT: Final = re.compile(r"^(?P<problem>.*?)(?: - at `(?:key in )?\$\.?(?P<field>.*)`)?$", re.DOTALL)

Duration = Annotated[str, msgspec.Meta(pattern=r"^\d+(\.\d{1,9})?s$")]
Colour = Annotated[str, msgspec.Meta(pattern=r"^#[0-9a-fA-F]{6}$")]


class InvalidMessage(Exception):
    """The message can never pass; `field` says where. `is_recipient`: nothing is wrong but the address."""

    def __init__(self, field: str, description: str, *, is_recipient: bool = False) -> None:
        super().__init__(description)
        self.field = field
        self.is_recipient = is_recipient


class _Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    pass


class Notification(_Part, frozen=True):
    """What every platform shows."""

    title: str = ""
    body: str = ""
    image: str = ""


class FcmOptions(_Part, frozen=True):
    """Options of all platforms."""

    analytics_label: Annotated[str, msgspec.Meta(pattern=r"^[a-zA-Z0-9\-_.~%]{0,50}$")] = ""


class Color(_Part, frozen=True):
    """A colour by its parts, each from 0 to 1."""

    red: float = 0.0
    green: float = 0.0
    blue: float = 0.0
    alpha: float = 1.0


class LightSettings(_Part, frozen=True):
    """How the light of an Android device blinks."""

    color: Color
    light_on_duration: Duration
    light_off_duration: Duration


class AndroidNotification(_Part, frozen=True):
    """What Android shows instead of or beside the common part."""

    title: str = ""
    body: str = ""
    icon: str = ""
    color: Colour | None = None
    sound: str = ""
    tag: str = ""
    click_action: str = ""
    body_loc_key: str = ""
    body_loc_args: list[str] = []
    title_loc_key: str = ""
    title_loc_args: list[str] = []
    channel_id: str = ""
    ticker: str = ""
    sticky: bool = False
    event_time: str = ""
    local_only: bool = False
    notification_priority: Literal[
        "PRIORITY_UNSPECIFIED", "PRIORITY_MIN", "PRIORITY_LOW", "PRIORITY_DEFAULT", "PRIORITY_HIGH", "PRIORITY_MAX"
    ] = "PRIORITY_UNSPECIFIED"
    default_sound: bool = False
    default_vibrate_timings: bool = False
    default_light_settings: bool = False
    vibrate_timings: list[Duration] = []
    visibility: Literal["VISIBILITY_UNSPECIFIED", "PRIVATE", "PUBLIC", "SECRET"] = "VISIBILITY_UNSPECIFIED"
    notification_count: int | None = None
    light_settings: LightSettings | None = None
    image: str = ""
    bypass_proxy_notification: bool = False
    proxy: Literal["PROXY_UNSPECIFIED", "ALLOW", "DENY", "IF_PRIORITY_LOWERED"] = "PROXY_UNSPECIFIED"


class AndroidConfig(_Part, frozen=True):
    """How Android devices get it."""

    collapse_key: str = ""
    priority: Literal["NORMAL", "HIGH", "normal", "high"] = "NORMAL"
    ttl: Duration | None = None
    restricted_package_name: str = ""
    data: dict[str, str] = {}
    notification: AndroidNotification | None = None
    fcm_options: FcmOptions | None = None
    direct_boot_ok: bool = False
    bandwidth_constrained_ok: bool = False
    restricted_satellite_ok: bool = False


class WebpushFcmOptions(_Part, frozen=True):
    """Options of browsers."""

    link: str = ""
    analytics_label: str = ""


class WebpushConfig(_Part, frozen=True):
    """How browsers get it; `notification` is the Notification API's dictionary as it is."""

    headers: dict[str, str] = {}
    data: dict[str, str] = {}
    notification: dict[str, Any] = {}
    fcm_options: WebpushFcmOptions | None = None


class ApnsFcmOptions(_Part, frozen=True):
    """Options of Apple devices."""

    analytics_label: str = ""
    image: str = ""


class ApnsConfig(_Part, frozen=True):
    """How Apple devices get it; `payload` is the APNs payload as it is."""

    headers: dict[str, str] = {}
    payload: dict[str, Any] = {}
    fcm_options: ApnsFcmOptions | None = None
    live_activity_token: str = ""


class Message(_Part, frozen=True):
    """One message to exactly one of token, fid, topic, condition."""

    name: str = ""
    data: dict[str, str] = {}
    notification: Notification | None = None
    android: AndroidConfig | None = None
    webpush: WebpushConfig | None = None
    apns: ApnsConfig | None = None
    fcm_options: FcmOptions | None = None
    token: str = ""
    fid: str = ""
    topic: str = ""
    condition: str = ""

    @property
    def address(self) -> str:
        """Whom it is for."""
        return self.token or self.fid or self.topic or self.condition


class SendRequest(_Part, frozen=True):
    """The whole body. `validate_only` delivers nothing."""

    message: Message
    validate_only: bool = False


def parse_send_request(body: bytes) -> SendRequest:
    """Decode and check a body.

    Raises:
        InvalidMessage: With the field and Google's kind of sentence.
    """
    try:
        request = msgspec.json.decode(body, type=SendRequest)
    except msgspec.ValidationError as exc:
        found = _AT.match(str(exc))
        assert found is not None  # the pattern matches any text
        raise InvalidMessage(found["field"] or "message", f"Invalid JSON payload received. {found['problem']}") from exc
    except (msgspec.DecodeError, UnicodeDecodeError) as exc:
        raise InvalidMessage("", "Invalid JSON payload received. Unexpected token.") from exc
    _check_recipient(request.message)
    _check_data(request.message)
    _check_size(request.message)
    return request


def _check_recipient(message: Message) -> None:
    given = [address for address in (message.token, message.fid, message.topic, message.condition) if address]
    if not given:
        raise InvalidMessage("message", "Recipient of the message is not set.")
    if len(given) > 1:
        raise InvalidMessage("message", "Exactly one of token, fid, topic or condition is required.")
    device = message.token or message.fid
    if device and not re.fullmatch(r"[A-Za-z0-9_:.~%@+/=-]{1,4096}", device):
        raise InvalidMessage("message.token", "The registration token is not a valid FCM registration token", is_recipient=True)


def _check_data(message: Message) -> None:
    for key in message.data:
        if _RESERVED_KEY.fullmatch(key):
            raise InvalidMessage("message.data", f"Invalid data payload key: {key}")


def _check_size(message: Message) -> None:
    """Count keys and values of what reaches a device, as Google does."""
    android = message.android
    data = (android.data if android else None) or message.data
    size_bytes = sum(len(key.encode()) + len(value.encode()) for key, value in data.items())
    if message.notification is not None:
        texts = msgspec.structs.asdict(message.notification)
        size_bytes += sum(len(name) + len(value.encode()) for name, value in texts.items() if value)
    limit = _TOPIC_LIMIT_BYTES if message.topic or message.condition else _LIMIT_BYTES
    if size_bytes > limit:
        raise InvalidMessage("message", "Android message is too big")
    if message.apns is not None and len(msgspec.json.encode(message.apns.payload)) > _LIMIT_BYTES:
        raise InvalidMessage("message.apns.payload", "APNs payload is too big")
