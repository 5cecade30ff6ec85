"""What providers would show of a text: their messages are composed as if it were told, and read again."""

import uuid
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec

from broker.notification import Content, Device, Lane, Notification, Provider, Route
from broker.rendering.showing import Showing
from pushers.outcome import DropMessage, TooLarge
from pushers.payloads import apns, fcm, webpush
from pushers.payloads.email import compose_email
from pushers.payloads.sms import compose_sms

__all__ = ["show"]

# Only lengths matter here: an example of what else a message holds. A real token, topic or address may be a little longer.
_NOW: Final = datetime(2026, 1, 1, tzinfo=UTC)
_SMS_PARTS: Final = 2  # as providers.sms.max_segments unless it is set
_ID: Final = uuid.UUID(int=0x019B76DA_A800_7000_8000_00000000000A)


def show(content: Content, route: str) -> Sequence[Showing]:
    """Tell what the providers of a route (empty for all routes) would show of a content whose texts are made."""
    notification = Notification(str(_ID), "user", content, Lane.NORMAL, (Route.PUSH,), 0, 0, _NOW, _NOW + timedelta(days=1))
    return [look(notification) for provider, look in _LOOKS.items() if route in ("", provider.route)]


def _of_apns(notification: Notification) -> Showing:
    message = apns.compose_apns(notification, _device(Provider.APNS, "0" * 64), topic="com.example.app", now=_NOW)
    if isinstance(message, TooLarge | DropMessage):
        return _refused(Provider.APNS, message)
    alert = _decoded(message.body).get("aps", {}).get("alert", {})
    return _showing(Provider.APNS, alert, len(message.body), apns.LIMIT_BYTES, message.cuts)


def _of_fcm(notification: Notification) -> Showing:
    message = fcm.compose_fcm(notification, _device(Provider.FCM, "0" * 163), now=_NOW)
    if isinstance(message, TooLarge | DropMessage):
        return _refused(Provider.FCM, message)
    shown = _decoded(message.body)["message"].get("notification", {})
    return _showing(Provider.FCM, shown, message.counted_bytes, fcm.LIMIT_BYTES, message.cuts)


def _of_webpush(notification: Notification) -> Showing:
    message = webpush.compose_webpush(notification, now=_NOW)
    if isinstance(message, TooLarge | DropMessage):
        return _refused(Provider.WEBPUSH, message)
    told = _decoded(message.plaintext)
    shown = {"title": told["title"], "body": told["options"].get("body", "")}
    return _showing(Provider.WEBPUSH, shown, len(message.plaintext), webpush.LIMIT_BYTES, message.cuts)


def _of_email(notification: Notification) -> Showing:
    mailbox = _device(Provider.EMAIL, "user@example.com")
    mail = compose_email(notification, mailbox, sender="sender@example.com", sender_name="")
    if isinstance(mail, DropMessage):
        return _refused(Provider.EMAIL, mail)
    content = notification.content
    return Showing(Provider.EMAIL, content.title, content.body, len(mail))


def _of_sms(notification: Notification) -> Showing:
    text = compose_sms(notification, max_parts=_SMS_PARTS)
    if isinstance(text, TooLarge | DropMessage):
        return _refused(Provider.SMS, text)
    return Showing(Provider.SMS, "", text.text, len(text.text.encode()), cuts=text.cuts)


def _device(provider: Provider, token: str) -> Device:
    return Device(str(_ID), "user", provider, token, "", _NOW)


def _decoded(body: bytes) -> dict[str, Any]:
    return msgspec.json.decode(body, type=dict[str, Any])


def _showing(provider: Provider, shown: dict[str, str], size_bytes: int, limit_bytes: int, cuts: tuple[str, ...]) -> Showing:
    return Showing(provider, shown.get("title", ""), shown.get("body", ""), size_bytes, limit_bytes, cuts)


def _refused(provider: Provider, verdict: TooLarge | DropMessage) -> Showing:
    if isinstance(verdict, DropMessage):
        return Showing(provider, refusal=verdict.reason)
    return Showing(provider, limit_bytes=verdict.limit_bytes, refusal=f"is larger than {verdict.limit_bytes} bytes")


_LOOKS: Final[dict[Provider, Callable[[Notification], Showing]]] = {
    Provider.APNS: _of_apns,
    Provider.FCM: _of_fcm,
    Provider.WEBPUSH: _of_webpush,
    Provider.EMAIL: _of_email,
    Provider.SMS: _of_sms,
}
