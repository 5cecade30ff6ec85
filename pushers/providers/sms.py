"""Text messages: through Twilio's Messages API or whatever speaks like it, or through a signed call to a gateway of one's own.

https://www.twilio.com/docs/messaging/api/message-resource and https://www.twilio.com/docs/api/errors
"""

import base64
from collections.abc import Mapping
from datetime import datetime
from typing import Final
from urllib.parse import urlencode

import msgspec

from broker.notification import Device, Notification
from broker.notification import Provider as ProviderName
from config.provider_settings import SmsSettings
from pushers.outcome import Accepted, Ambiguous, ConfigPause, DropDevice, DropMessage, Retry, SendOutcome, TooLarge
from pushers.payloads.handles import remaining_s
from pushers.payloads.sms import SmsText, compose_sms
from pushers.payloads.webhook import compose_hooked_sms
from pushers.providers import errors
from pushers.providers.failures import outcome_of
from pushers.providers.http import HttpTransport
from pushers.providers.http_message import HttpRequest, HttpResponse
from pushers.providers.retry_after import parse_retry_after, server_error
from pushers.providers.signed_hook import build_signed, classify_hook

__all__ = ["HookedSmsProvider", "TwilioProvider", "build_twilio", "classify_twilio"]

TWILIO_URL: Final = "https://api.twilio.com"
_BUSY_S: Final = 60.0
_LONGEST_VALIDITY_S: Final = 36_000


class TwilioProvider:
    """Sends from one account."""

    def __init__(self, settings: SmsSettings, auth_token: str, transport: HttpTransport) -> None:
        self._settings, self._transport = settings, transport
        self._authorization = _basic(settings.account_sid, auth_token)

    @property
    def name(self) -> ProviderName:
        return ProviderName.SMS

    async def send(self, notification: Notification, device: Device, *, now: datetime) -> SendOutcome:
        text = _compose(notification, device, self._settings)
        if not isinstance(text, SmsText):
            return text
        request = build_twilio(text, notification, device, settings=self._settings, authorization=self._authorization, now=now)
        try:
            response = await self._transport.request(request)
        except errors.Ambiguous as exc:
            # It knows no handle by which to tell a repeat, and every message costs money and attention.
            return Ambiguous(str(exc), may_repeat=False)
        except errors.TransportError as exc:
            return outcome_of(exc)
        return classify_twilio(response, now=now, text=text)

    async def close(self) -> None:
        await self._transport.close()


class HookedSmsProvider:
    """Hands texts to a gateway of the operator's own, which tells repeats by `delivery_id`."""

    def __init__(self, settings: SmsSettings, secrets: tuple[str, ...], transport: HttpTransport) -> None:
        self._settings, self._secrets, self._transport = settings, secrets, transport

    @property
    def name(self) -> ProviderName:
        return ProviderName.SMS

    async def send(self, notification: Notification, device: Device, *, now: datetime) -> SendOutcome:
        text = _compose(notification, device, self._settings)
        if not isinstance(text, SmsText):
            return text
        body = compose_hooked_sms(notification, device, text)
        request = build_signed(self._settings.url, body, secrets=self._secrets, now=now, timeout_s=self._settings.timeout)
        try:
            response = await self._transport.request(request)
        except errors.TransportError as exc:
            return outcome_of(exc)
        outcome = classify_hook(response, now=now, size_bytes=len(body), is_ours=True)
        return Accepted(outcome.provider_id, ", ".join(text.cuts)) if isinstance(outcome, Accepted) else outcome

    async def close(self) -> None:
        await self._transport.close()


def _compose(notification: Notification, device: Device, settings: SmsSettings) -> SmsText | TooLarge | DropMessage:
    """Compose the text, unless its number may not be written to."""
    prefixes = settings.allowed_prefixes
    if prefixes and not device.token.startswith(prefixes):
        return DropMessage("number outside allowed_prefixes")
    return compose_sms(notification, max_parts=settings.max_segments)


def build_twilio(
    text: SmsText, notification: Notification, device: Device, *, settings: SmsSettings, authorization: str, now: datetime
) -> HttpRequest:
    """Write the form. Twilio tries for at most ten hours, and for one second at least."""
    sender = "MessagingServiceSid" if settings.sender.startswith("MG") else "From"
    fields = {"To": device.token, sender: settings.sender, "Body": text.text}
    fields["ValidityPeriod"] = str(max(1, min(_LONGEST_VALIDITY_S, remaining_s(notification, now))))
    if settings.status_callback:
        # Twilio knows the message by an id of its own: with this, who is told of its fate knows which notification it was.
        handle = urlencode({"notification": notification.id, "device": device.id})
        fields["StatusCallback"] = f"{settings.status_callback}?{handle}"
    url = f"{(settings.url or TWILIO_URL).rstrip('/')}/2010-04-01/Accounts/{settings.account_sid}/Messages.json"
    headers = {
        "authorization": authorization,
        "content-type": "application/x-www-form-urlencoded",
        "accept": "application/json",
    }
    return HttpRequest(url, headers, urlencode(fields).encode(), settings.timeout)


class _Message(msgspec.Struct, frozen=True):
    """An answer: the message that was made, or the error's code."""

    sid: str = ""
    code: int | None = None


def classify_twilio(response: HttpResponse, *, now: datetime, text: SmsText) -> SendOutcome:
    """Decide what an answer means: by Twilio's own code, else by the HTTP status. Its texts repeat numbers: none is kept."""
    answer = _read(response.body)
    if 200 <= response.status < 300:
        return Accepted(answer.sid, ", ".join(text.cuts))
    said = response.header("retry-after")
    reason = f"{answer.code or 'status'} {_WORDS.get(answer.code or 0, response.status)}"
    if response.status == 429 or answer.code in _BUSY:
        return Retry(reason, parse_retry_after(said, now, _BUSY_S), scope="lane", is_failure=False)
    if response.status >= 500:
        return server_error(reason, said, now)
    if answer.code in _GONE:
        return DropDevice(reason, now)
    if response.status in (401, 403, 404) or answer.code in _OURS:
        return ConfigPause(reason)
    return DropMessage(reason)


_WORDS: Final[Mapping[int, str]] = {
    20003: "wrong credentials",
    20404: "no such account",
    20429: "too many requests",
    21211: "invalid number",
    21212: "invalid sender",
    21408: "region not permitted",
    21606: "sender not ours",
    21610: "unsubscribed",
    21611: "queue full",
    21614: "not a mobile number",
    21703: "no sender in the messaging service",
}
_GONE: Final = frozenset({21211, 21610, 21614})
_BUSY: Final = frozenset({14107, 20429, 21611})
# What is wrong for every number. A region that the account does not serve (21408) is no reason to stop writing to the others.
_OURS: Final = frozenset({20003, 20005, 20404, 21212, 21606, 21703})


def _read(body: bytes) -> _Message:
    try:
        return msgspec.json.decode(body, type=_Message)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return _Message()


def _basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
