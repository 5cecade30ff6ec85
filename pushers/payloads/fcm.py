"""What FCM is told: the body of `POST /v1/projects/<project>/messages:send`."""

import re
from datetime import datetime
from typing import Any, Final

import msgspec

from broker.notification import Content, Device, Lane, Notification, PushType
from pushers.outcome import DropMessage, TooLarge
from pushers.payloads.data import read_text_data
from pushers.payloads.handles import collapse_id, remaining_s, topic
from pushers.payloads.truncation import Shown, fit
from pushers.payloads.webpush import URGENCY

__all__ = ["LIMIT_BYTES", "FcmMessage", "compose_fcm"]

LIMIT_BYTES: Final = 4096
# Not counted against the limit: the address, and what FCM keeps for itself or sends by other ways.
_UNCOUNTED: Final = ("token", "android", "webpush")
_LABEL: Final = re.compile(r"[a-zA-Z0-9\-_.~%]{1,50}")


class FcmMessage(msgspec.Struct, frozen=True):
    """The JSON body, its size as FCM counts it, and what was cut to make it fit."""

    body: bytes
    counted_bytes: int
    cuts: tuple[str, ...] = ()


def compose_fcm(notification: Notification, device: Device, *, now: datetime) -> FcmMessage | TooLarge | DropMessage:
    """Compose the message; what is not to be shown, or to be shown by the app itself, carries data only.

    The tag is the notification's own, so that a repeat replaces what is shown. A `collapse_key` for waiting messages is set
    only where the application asks: FCM keeps four different ones per device.
    """
    content = notification.content
    push_type = content.effective_push_type
    if push_type is PushType.LIVE_ACTIVITY:
        return DropMessage("live activities are for apns alone")
    outline = _Outline(notification, device, push_type, remaining_s(notification, now))
    shown = Shown(content.title, _body(content), content.image)
    message = outline.message(shown)
    counted_bytes = _counted(message)
    cuts: tuple[str, ...] = ()
    if counted_bytes > LIMIT_BYTES:
        fitted = fit(shown, lambda parts: _counted(outline.message(parts)), LIMIT_BYTES)
        if fitted is None:
            return TooLarge(LIMIT_BYTES)
        message, cuts = outline.message(fitted.shown), fitted.cuts
        counted_bytes = _counted(message)
    return FcmMessage(msgspec.json.encode({"message": message}), counted_bytes, cuts)


def _body(content: Content) -> str:
    """Join the subtitle to the body, for whom there is none."""
    return "\n".join(text for text in (content.subtitle, content.body) if text)


def _counted(message: dict[str, Any]) -> int:
    return len(msgspec.json.encode({name: value for name, value in message.items() if name not in _UNCOUNTED}))


class _Outline(msgspec.Struct, frozen=True):
    """All of a message but what is shown."""

    notification: Notification
    device: Device
    push_type: PushType
    ttl_s: int

    @property
    def is_shown(self) -> bool:
        return self.push_type is PushType.ALERT

    def message(self, shown: Shown) -> dict[str, Any]:
        content = self.notification.content
        message: dict[str, Any] = {"token": self.device.token, "data": _data(self.notification)}
        texts = {name: text for name, text in (("title", shown.title), ("body", shown.body), ("image", shown.image)) if text}
        if self.is_shown:
            message["notification"] = texts
        elif self.push_type is PushType.VOIP:
            message["data"] |= texts  # the app rings by itself, and says who calls
        message["android"] = self._android()
        message["apns"] = self._apns(shown)
        message["webpush"] = self._webpush()
        if _LABEL.fullmatch(content.category):
            message["fcm_options"] = {"analytics_label": content.category}
        return message

    def _android(self) -> dict[str, Any]:
        content, lane = self.notification.content, self.notification.lane
        is_awaited = self.is_shown or self.push_type is PushType.VOIP
        is_urgent = lane < Lane.NORMAL or (lane is Lane.NORMAL and is_awaited)
        android: dict[str, Any] = {"priority": "high" if is_urgent else "normal", "ttl": f"{self.ttl_s}s"}
        if content.collapse_key:
            android["collapse_key"] = content.collapse_key
        if self.is_shown:
            # No `click_action` is made of the category: where an app has no activity of that name, a tap would open nothing.
            shown: dict[str, Any] = {"tag": content.collapse_key or self.notification.id}
            if content.badge:
                shown["notification_count"] = content.badge
            if content.sound not in ("", "none"):
                shown["sound"] = content.sound
            android["notification"] = shown
        return android

    def _apns(self, shown: Shown) -> dict[str, Any]:
        """For apps that reach their iOS installations through FCM."""
        notification = self.notification
        expires_at_s = int(notification.expires_at.timestamp()) if self.ttl_s else 0
        apns: dict[str, Any] = {
            "headers": {
                "apns-priority": "10" if self.is_shown and notification.lane is not Lane.BULK else "5",
                "apns-expiration": str(expires_at_s),
                "apns-collapse-id": collapse_id(notification),
            }
        }
        apns["payload"] = {"aps": _aps(notification, shown) if self.is_shown else {"content-available": 1}}
        if self.is_shown and shown.image:
            apns["fcm_options"] = {"image": shown.image}
        return apns

    def _webpush(self) -> dict[str, Any]:
        notification = self.notification
        headers = {"TTL": str(self.ttl_s), "Urgency": URGENCY[notification.lane], "Topic": topic(notification)}
        webpush: dict[str, Any] = {"headers": headers}
        if notification.content.link.startswith("https://"):  # FCM takes no other link
            webpush["fcm_options"] = {"link": notification.content.link}
        return webpush


def _data(notification: Notification) -> dict[str, str]:
    content = notification.content
    own = (
        ("hg_id", notification.id),
        ("link", content.link),
        ("category", content.category),
        ("thread", content.thread),
        ("push_type", content.push_type or ""),
    )
    return read_text_data(content) | {name: text for name, text in own if text}


def _aps(notification: Notification, shown: Shown) -> dict[str, Any]:
    """What FCM does not fill in by itself: it takes title and body from the message."""
    content = notification.content
    aps: dict[str, Any] = {}
    if notification.lane is not Lane.BULK and content.sound != "none":
        aps["sound"] = content.sound or "default"
    if content.category:
        aps["category"] = content.category
    if content.thread:
        aps["thread-id"] = content.thread
    if content.badge is not None:
        aps["badge"] = content.badge
    if shown.image:
        aps["mutable-content"] = 1
    return aps
