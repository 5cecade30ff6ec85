"""What a browser's service worker is told: the plaintext of a Web Push message, and its headers."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

import msgspec

from broker.notification import Lane, Notification, PushType
from pushers.outcome import DropMessage, TooLarge
from pushers.payloads.data import read_data
from pushers.payloads.handles import remaining_s, topic
from pushers.payloads.truncation import Shown, fit

__all__ = ["LIMIT_BYTES", "URGENCY", "WebPushMessage", "compose_webpush"]

# One record of 4,096 bytes holds 3,993 after header, delimiter and tag; push services refuse more than one record.
LIMIT_BYTES: Final = 3993
URGENCY: Final[Mapping[Lane, str]] = {Lane.CRITICAL: "high", Lane.HIGH: "high", Lane.NORMAL: "normal", Lane.BULK: "low"}


class WebPushMessage(msgspec.Struct, frozen=True):
    """Headers of RFC 8030, the JSON to encrypt, and what was cut to make it fit."""

    headers: dict[str, str]
    plaintext: bytes
    cuts: tuple[str, ...] = ()


def compose_webpush(notification: Notification, *, now: datetime) -> WebPushMessage | TooLarge | DropMessage:
    """Compose `{"title", "options"}`, which a worker hands to `showNotification` as it is.

    What shows nothing is dropped: browsers demand something to see for every message (`userVisibleOnly`).
    """
    content = notification.content
    if not (content.title or content.body) or content.effective_push_type is PushType.BACKGROUND:
        return DropMessage("nothing to show: browsers take no silent messages")
    if content.effective_push_type is PushType.LIVE_ACTIVITY:
        return DropMessage("live activities are for apns alone")
    data: dict[str, Any] = dict(read_data(content)) | {"hg_id": notification.id}
    own = (("link", content.link), ("thread", content.thread), ("badge", content.badge))
    data |= {name: value for name, value in own if value not in ("", None)}

    def encode(shown: Shown) -> bytes:
        return msgspec.json.encode({"title": shown.title, "options": _options(notification, shown, data)})

    body = "\n".join(text for text in (content.subtitle, content.body) if text)
    shown = Shown(content.title, body, content.image)
    plaintext = encode(shown)
    cuts: tuple[str, ...] = ()
    if len(plaintext) > LIMIT_BYTES:
        fitted = fit(shown, lambda parts: len(encode(parts)), LIMIT_BYTES)
        if fitted is None:
            return TooLarge(LIMIT_BYTES)
        plaintext, cuts = encode(fitted.shown), fitted.cuts
    return WebPushMessage(_headers(notification, now), plaintext, cuts)


def _options(notification: Notification, shown: Shown, data: dict[str, Any]) -> dict[str, Any]:
    options: dict[str, Any] = {"tag": notification.content.collapse_key or notification.id, "data": data}
    if shown.body:
        options["body"] = shown.body
    if shown.image:
        options["image"] = shown.image
    if notification.lane is Lane.CRITICAL or notification.content.effective_push_type is PushType.VOIP:
        options["requireInteraction"] = True
    if notification.content.sound == "none":
        options["silent"] = True
    return options


def _headers(notification: Notification, now: datetime) -> dict[str, str]:
    return {
        "ttl": str(remaining_s(notification, now)),
        "urgency": URGENCY[notification.lane],
        "topic": topic(notification),
    }
