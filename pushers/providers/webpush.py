"""Web Push: RFC 8030 to whatever push service a browser has chosen, encrypted for that browser alone.

The address is a URL that a user handed in: `egress` says whether it may be called.
"""

import base64
import binascii
from collections import OrderedDict
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any, Final

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec

from broker.notification import Device, Notification
from broker.notification import Provider as ProviderName
from config.egress import Endpoint, Forbidden, Pins, Unresolved, check_endpoint
from config.settings import WebPushSettings
from pushers.outcome import Accepted, ConfigPause, DropDevice, DropMessage, Retry, SendOutcome, TooLarge
from pushers.payloads.encryption import Receiver, encrypt
from pushers.payloads.webpush import LIMIT_BYTES, WebPushMessage, compose_webpush
from pushers.providers import errors
from pushers.providers.failures import outcome_of
from pushers.providers.http import HttpTransport
from pushers.providers.http_message import HttpRequest, HttpResponse
from pushers.providers.retry_after import parse_retry_after, server_error
from pushers.providers.vapid import Vapid

__all__ = ["Subscription", "WebPushProvider", "build", "classify", "read_subscription"]

_PAUSE_S: Final = 60.0
_TRUST: Final = timedelta(minutes=10)
_TRUSTED_ORIGINS: Final = 256
_READ_SUBSCRIPTIONS: Final = 2048  # about 2 KB each


class Subscription(msgspec.Struct, frozen=True):
    """A browser's subscription: where to post, and whom to encrypt for."""

    endpoint: str
    receiver: Receiver


class WebPushProvider:
    """Sends to the push services of the allow-list, or to the one that stands for all of them (simulators)."""

    def __init__(self, settings: WebPushSettings, vapid: Vapid, transport: HttpTransport, pins: Pins) -> None:
        self._settings = settings
        self._vapid = vapid
        self._transport = transport
        self._pins = pins
        # When each origin last took our key: one that did so recently means the subscription when it says "forbidden".
        self._took_key_at: OrderedDict[str, datetime] = OrderedDict()

    @property
    def name(self) -> ProviderName:
        return ProviderName.WEBPUSH

    async def send(self, notification: Notification, device: Device, *, now: datetime) -> SendOutcome:
        message = compose_webpush(notification, now=now)
        if isinstance(message, TooLarge | DropMessage):
            return message
        subscription = read_subscription(device.token)
        if subscription is None:
            return DropDevice("not a browser's subscription", now, confident=False)
        try:
            endpoint = self._check(subscription)
            pinned = () if self._settings.connect_to else await self._pins.pin(endpoint.host)
            authorization = self._vapid.authorization(endpoint.origin, now)
            request = build(message, subscription, authorization=authorization, pinned=pinned, timeout_s=self._settings.timeout)
            response = await self._transport.request(request)
        except Forbidden as exc:
            return DropMessage(str(exc))
        except Unresolved as exc:
            return Retry(str(exc), scope="device", is_failure=False)
        except errors.TransportError as exc:
            return outcome_of(exc)
        knows_key = not endpoint.is_named or self._knows_key(endpoint, now)
        outcome = classify(response, now=now, host=endpoint.host, knows_key=knows_key, cuts=message.cuts)
        if isinstance(outcome, Accepted):
            self._remember(endpoint, now)
        return outcome

    async def close(self) -> None:
        await self._pins.close()
        await self._transport.close()

    def _check(self, subscription: Subscription) -> Endpoint:
        allowed_hosts = self._settings.allowed_hosts
        if not self._settings.connect_to:
            return check_endpoint(subscription.endpoint, allowed_hosts)
        # Whatever the endpoint says, the one simulator is called.
        authority = subscription.endpoint.removeprefix("https://").partition("/")[0].removesuffix(":443")
        return Endpoint(subscription.endpoint, authority, is_named=True)

    def _knows_key(self, endpoint: Endpoint, now: datetime) -> bool:
        took_at = self._took_key_at.get(endpoint.origin)
        return took_at is not None and now - took_at < _TRUST

    def _remember(self, endpoint: Endpoint, now: datetime) -> None:
        self._took_key_at[endpoint.origin] = now
        self._took_key_at.move_to_end(endpoint.origin)
        while len(self._took_key_at) > _TRUSTED_ORIGINS:
            self._took_key_at.popitem(last=False)


class _Keys(msgspec.Struct, frozen=True):
    p256dh: str
    auth: str


class _Registered(msgspec.Struct, frozen=True):
    endpoint: str
    keys: _Keys


@lru_cache(_READ_SUBSCRIPTIONS)  # of all that a message costs beside its encryption, reading a key anew is the most
def read_subscription(token: str) -> Subscription | None:
    """Read a device's token: the JSON of the Push API's `toJSON()`; None when it is no such thing."""
    try:
        registered = msgspec.json.decode(token, type=_Registered)
        key = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), _base64url(registered.keys.p256dh))
        secret = _base64url(registered.keys.auth)
    except (msgspec.MsgspecError, binascii.Error, ValueError):
        return None
    return Subscription(registered.endpoint, Receiver(key, secret)) if len(secret) == 16 else None


def _base64url(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def build(
    message: WebPushMessage, subscription: Subscription, *, authorization: str, pinned: tuple[str, ...], timeout_s: float
) -> HttpRequest:
    """Encrypt a message for a subscription and address it. Not repeatable byte for byte: key and salt are drawn anew."""
    return HttpRequest(
        subscription.endpoint,
        {
            "authorization": authorization,
            "content-encoding": "aes128gcm",
            "content-type": "application/octet-stream",
            **message.headers,
        },
        encrypt(message.plaintext, subscription.receiver),
        timeout_s,
        pinned,
    )


def classify(response: HttpResponse, *, now: datetime, host: str, knows_key: bool, cuts: tuple[str, ...] = ()) -> SendOutcome:
    """Decide what an answer means.

    Args:
        knows_key: The service took our key lately, or it is none that the operator named; then "forbidden" speaks of this
            subscription (made with another key), and must not stop everybody's notifications.
    """
    if response.status in (200, 201, 202, 204):
        return Accepted(response.header("location"), ", ".join(cuts))
    reason = f"status {response.status}"
    said = response.header("retry-after")
    match response.status:
        case 400 if _blames_key(response.body):
            return _refused_key(reason, now, knows_key=knows_key)
        case 401 | 403:
            return _refused_key(reason, now, knows_key=knows_key)
        case 404 | 410:
            return DropDevice(reason, now)
        case 406 if host == "notify.windows.com" or host.endswith(".notify.windows.com"):
            return Retry(reason, _PAUSE_S, scope="device", is_failure=False)  # they say 406 where others say 429
        case 413:
            return TooLarge(LIMIT_BYTES)
        case 429:
            return Retry(reason, parse_retry_after(said, now, _PAUSE_S), scope="device", is_failure=False)
        case status if status >= 500:
            return server_error(reason, said, now)
        case _:  # a redirect too: RFC 8030 has none for sending, and following one would leave the allow-list
            return DropMessage(reason)


def _refused_key(reason: str, now: datetime, *, knows_key: bool) -> SendOutcome:
    return DropDevice(reason, now, confident=False) if knows_key else ConfigPause(reason)


def _blames_key(body: bytes) -> bool:
    """Whether a 400 is about VAPID: reasons of Apple's service, error numbers 109 and 110 of Mozilla's."""
    try:
        answer: Any = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return False
    if not isinstance(answer, dict):
        return False
    return answer.get("reason") in ("BadJwtToken", "VapidPkHashMismatch") or answer.get("errno") in (109, 110)
