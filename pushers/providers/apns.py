"""APNs: Apple's push service over HTTP/2, with a team's token or with a certificate that the transport shows.

https://developer.apple.com/documentation/usernotifications/sending-notification-requests-to-apns
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from broker.notification import Device, Notification
from broker.notification import Provider as ProviderName
from config.settings import ApnsSettings
from pushers.outcome import Accepted, ConfigPause, DropDevice, DropMessage, Retry, SendOutcome, TooLarge
from pushers.payloads.apns import LIMIT_BYTES, ApnsMessage, compose_apns
from pushers.providers import errors
from pushers.providers.apns_token import ProviderToken
from pushers.providers.failures import outcome_of
from pushers.providers.http import HttpTransport
from pushers.providers.http_message import HttpRequest, HttpResponse
from pushers.providers.retry_after import parse_retry_after, server_error

__all__ = ["ApnsProvider", "build", "classify"]

_EXPIRED_TOKEN: Final = "ExpiredProviderToken"  # noqa: S105 (the name of a reason)
_DEVICE_PAUSE_S: Final = 60.0
_TOKEN_UPDATE_PAUSE_S: Final = 1200.0


class ApnsProvider:
    """Sends to one app. Without a token, the transport's certificate says who sends."""

    def __init__(self, settings: ApnsSettings, token: ProviderToken | None, transport: HttpTransport) -> None:
        self._settings = settings
        self._token = token
        self._transport = transport

    @property
    def name(self) -> ProviderName:
        return ProviderName.APNS

    async def send(self, notification: Notification, device: Device, *, now: datetime) -> SendOutcome:
        message = compose_apns(notification, device, topic=self._settings.topic, push_types=self._settings.push_types, now=now)
        if isinstance(message, TooLarge | DropMessage):
            return message
        token = "" if self._token is None else self._token.current(now)
        try:
            response = await self._transport.request(build(message, device, token=token, settings=self._settings))
        except errors.TransportError as exc:
            return outcome_of(exc)
        outcome = classify(response, now=now, cuts=message.cuts)
        if isinstance(outcome, Retry) and outcome.reason == _EXPIRED_TOKEN and not self._may_replace(token, now):
            return ConfigPause(_EXPIRED_TOKEN)
        return outcome

    async def close(self) -> None:
        await self._transport.close()

    def _may_replace(self, token: str, now: datetime) -> bool:
        return self._token is not None and self._token.replace(token, now)


def build(message: ApnsMessage, device: Device, *, token: str, settings: ApnsSettings) -> HttpRequest:
    """Address a message to a device; an empty token is none."""
    authorization = {"authorization": f"bearer {token}"} if token else {}
    return HttpRequest(
        f"{settings.url.rstrip('/')}/3/device/{device.token}",
        {**authorization, "content-type": "application/json", **message.headers},
        message.body,
        settings.timeout,
    )


def classify(response: HttpResponse, *, now: datetime, cuts: tuple[str, ...] = ()) -> SendOutcome:
    """Decide what an answer means. Reasons decide before statuses; what Apple adds later falls back to the status."""
    if response.status == 200:
        return Accepted(response.header("apns-id"), ", ".join(cuts))
    answer = _read(response.body)
    reason = str(answer.get("reason", "")) or f"status {response.status}"
    said = response.header("retry-after")
    if decide := _BY_REASON.get(reason):
        return decide(reason)
    match response.status:
        case 410:
            return DropDevice(reason, _read_timestamp(answer, now))
        case 413:
            return TooLarge(LIMIT_BYTES)
        case 429:
            return Retry(reason, parse_retry_after(said, now, _DEVICE_PAUSE_S), scope="device", is_failure=False)
        case 401 | 403:
            return ConfigPause(reason)
        case status if status >= 500:
            return server_error(reason, said, now)
        case 400 if reason in ("BadDeviceToken", "DeviceTokenNotForTopic"):
            # Often our own mix-up of environments or apps, so that nothing is deleted on this word alone.
            return DropDevice(reason, now, confident=False)
        case _:
            return DropMessage(reason)


_BY_REASON: Final[Mapping[str, Callable[[str], SendOutcome]]] = {
    "BadTopic": ConfigPause,
    "MissingTopic": ConfigPause,
    "TopicDisallowed": ConfigPause,
    "IdleTimeout": lambda reason: Retry(reason, 0.0),
    _EXPIRED_TOKEN: lambda reason: Retry(reason, 0.0, scope="lane", is_failure=False),
    "TooManyProviderTokenUpdates": lambda reason: ConfigPause(reason, _TOKEN_UPDATE_PAUSE_S),
}


def _read(body: bytes) -> Mapping[str, Any]:
    try:
        answer = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return {}
    return answer if isinstance(answer, dict) else {}


def _read_timestamp(answer: Mapping[str, Any], now: datetime) -> datetime:
    """Read since when the address is dead: milliseconds; only a registration after it is a new one."""
    at_ms = answer.get("timestamp")
    if not isinstance(at_ms, int | float) or not 0 < at_ms < 253_402_300_799_000:
        return now
    return min(now, datetime.fromtimestamp(at_ms / 1000, UTC))
