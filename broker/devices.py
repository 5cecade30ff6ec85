"""Port: the addresses of users; and the rules that an address must meet."""

import base64
import binascii
import re
from collections.abc import Mapping, Sequence
from typing import Final, Protocol
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec

from broker.errors import BadInput
from broker.notification import Device, Provider

__all__ = ["MAX_DEVICES", "DeviceFilter", "Devices", "Registration", "check_registration"]

MAX_DEVICES: Final = 50
_PLATFORM: Final[Mapping[Provider, str]] = {
    Provider.APNS: "ios",
    Provider.FCM: "android",
    Provider.WEBPUSH: "web",
    Provider.EMAIL: "email",
}
# One addr-spec, ASCII, no quoted local parts: what every relay takes, and nothing that could start a second recipient.
_ADDRESS = re.compile(
    r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?)*"
)


class Registration(msgspec.Struct, frozen=True):
    """A valid request to register a device."""

    user: str
    provider: Provider
    token: str
    platform: str = ""
    locale: str = ""
    timezone: str = ""


class DeviceFilter(msgspec.Struct, frozen=True):
    """Which devices are meant: those that meet every rule here. A rule lists what may be; an empty one lets all through."""

    ids: tuple[str, ...] = ()
    users: tuple[str, ...] = ()
    providers: tuple[str, ...] = ()
    platforms: tuple[str, ...] = ()


class Devices(Protocol):
    """The registry. An address belongs to one user: registering it for another moves it."""

    async def register(self, registration: Registration) -> Device:
        """Store an address, or renew it: the same address keeps its id and gets a new `registered_at`.

        Raises:
            BadInput: Naming `user`, when the user has `MAX_DEVICES` already.
        """

    async def of_user(self, user: str) -> Sequence[Device]:
        """List a user's devices, oldest first."""

    async def remove(self, user: str, device_id: str) -> bool:
        """Remove a user's device; False when the user has no such device."""

    async def find(self, wanted: DeviceFilter, *, after: str = "", limit: int) -> Sequence[Device]:
        """List devices in the order of their ids, at most `limit`, beginning behind the id `after`."""

    async def count(self, wanted: DeviceFilter) -> int:
        """Count devices."""

    async def remove_all(self, wanted: DeviceFilter) -> int:
        """Remove devices in one step; tells how many. The filter must have a rule."""


def check_registration(
    user: str, provider: str, token: object, platform: str = "", locale: str = "", timezone: str = ""
) -> Registration:
    """Hold a registration against the rules of its provider.

    Args:
        token: Text; for webpush also the browser's subscription as an object (RFC 8030, Push API `toJSON()`).
    Raises:
        BadInput: Naming the field and the rule.
    """
    if not user:
        raise BadInput("user", "must not be empty")
    if provider not in tuple(Provider):
        raise BadInput("provider", f"must be one of {', '.join(Provider)}")
    kind = Provider(provider)
    text = _check_token(kind, token)
    for field, value, limit in (("platform", platform, 32), ("locale", locale, 35), ("timezone", timezone, 64)):
        if len(value) > limit or not value.isprintable():
            raise BadInput(field, f"must be at most {limit} printable characters")
    if timezone:
        try:
            ZoneInfo(timezone)
        except (KeyError, ValueError, OSError):
            raise BadInput("timezone", 'must be an IANA zone such as "Europe/Berlin"') from None
    return Registration(user, kind, text, platform or _PLATFORM[kind], locale, timezone)


def _check_token(provider: Provider, token: object) -> str:
    match provider:
        case Provider.WEBPUSH:
            return _check_subscription(token)
        case _ if not isinstance(token, str):
            raise BadInput("token", "must be text")
        case Provider.APNS:
            if not re.fullmatch(r"[0-9a-fA-F]{32,200}", token):
                raise BadInput("token", "must be 32 to 200 hexadecimal digits for apns")
            return token.lower()
        case Provider.FCM:
            if not re.fullmatch(r"[A-Za-z0-9_:.%/+=~-]{1,4096}", token):
                raise BadInput("token", "must be an FCM registration token: 1 to 4096 letters, digits and -_:.%/+=~")
            return token
        case Provider.EMAIL:
            if len(token) > 254 or not _ADDRESS.fullmatch(token):
                raise BadInput("token", "must be one mail address, ASCII, at most 254 characters")
            return token


def _check_subscription(token: object) -> str:
    """Check endpoint and keys (RFC 8291 §3.1: an uncompressed P-256 point and 16 bytes); return the JSON to keep."""
    subscription = token
    if isinstance(token, str):
        try:
            subscription = msgspec.json.decode(token)
        except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
            raise BadInput("token", "must be the browser's subscription: an object with endpoint and keys") from None
    if not isinstance(subscription, dict) or not isinstance(keys := subscription.get("keys"), dict):
        raise BadInput("token", "must be the browser's subscription: an object with endpoint and keys")
    endpoint = subscription.get("endpoint")
    # urlsplit would drop line breaks silently, and they would be kept in what is stored.
    if not isinstance(endpoint, str) or len(endpoint) > 2048 or not re.fullmatch(r"[!-~]+", endpoint):
        raise BadInput("token.endpoint", "must be an https address of at most 2048 printable ASCII characters")
    try:
        parts = urlsplit(endpoint)
        _ = parts.port
    except ValueError:
        raise BadInput("token.endpoint", "must be an https address with a valid host and port") from None
    if parts.scheme != "https" or not parts.hostname or "@" in parts.netloc or parts.fragment:
        raise BadInput("token.endpoint", "must be an https address without user name and fragment")
    point = _base64url(keys.get("p256dh"), 65, "token.keys.p256dh")
    try:
        ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), point)
    except ValueError:
        raise BadInput("token.keys.p256dh", "must be a point of the curve P-256") from None
    _base64url(keys.get("auth"), 16, "token.keys.auth")
    kept = {"endpoint": endpoint, "keys": {"p256dh": keys["p256dh"], "auth": keys["auth"]}}
    return msgspec.json.encode(kept).decode()


def _base64url(value: object, size: int, field: str) -> bytes:
    rule = f"must be {size} bytes in base64url"
    # The decoder would skip what is not of the alphabet.
    if not isinstance(value, str) or not re.fullmatch(r"[A-Za-z0-9_-]+={0,2}", value):
        raise BadInput(field, rule)
    try:
        raw = base64.urlsafe_b64decode(value + "=" * (-len(value) % 4))
    except (binascii.Error, ValueError):
        raise BadInput(field, rule) from None
    if len(raw) != size:
        raise BadInput(field, rule)
    return raw
