"""What APNs is told: body and headers of `POST /3/device/<token>`."""

from datetime import datetime
from typing import Any, Final

import msgspec

from broker.notification import Device, Lane, Notification
from pushers.outcome import TooLarge
from pushers.payloads.data import read_data
from pushers.payloads.handles import collapse_id, remaining_s, target_id
from pushers.payloads.truncation import Shown, fit

__all__ = ["LIMIT_BYTES", "ApnsMessage", "compose_apns"]

LIMIT_BYTES: Final = 4096


class ApnsMessage(msgspec.Struct, frozen=True):
    """Headers but for the authorization, the JSON body, and what was cut to make it fit."""

    headers: dict[str, str]
    body: bytes
    cuts: tuple[str, ...] = ()


def compose_apns(notification: Notification, device: Device, *, topic: str, now: datetime) -> ApnsMessage | TooLarge:
    """Compose the message; without title and body it is a background one, which wakes the app and shows nothing.

    The application's data stand beside `aps`; `aps`, `hg_id` and the set ones of `link` and `img` are ours and win.
    """
    content = notification.content
    data: dict[str, Any] = dict(read_data(content))

    def encode(shown: Shown) -> bytes:
        return msgspec.json.encode(data | _own_members(notification, shown))

    shown = Shown(content.title, content.body, content.image)
    fitted = fit(shown, lambda parts: len(encode(parts)), LIMIT_BYTES)
    if fitted is None:
        return TooLarge(LIMIT_BYTES)
    return ApnsMessage(_headers(notification, device, topic, now), encode(fitted.shown), fitted.cuts)


def _is_shown(notification: Notification) -> bool:
    return bool(notification.content.title or notification.content.body)


def _own_members(notification: Notification, shown: Shown) -> dict[str, Any]:
    content = notification.content
    members: dict[str, Any] = {"aps": _aps(notification, shown), "hg_id": notification.id}
    if content.link:
        members["link"] = content.link
    if shown.image:
        members["img"] = shown.image
    return members


def _aps(notification: Notification, shown: Shown) -> dict[str, Any]:
    if not _is_shown(notification):
        return {"content-available": 1}
    alert = {name: text for name, text in (("title", shown.title), ("body", shown.body)) if text}
    aps: dict[str, Any] = {"alert": alert}
    if notification.lane is Lane.BULK:
        aps["interruption-level"] = "passive"
    else:
        aps["sound"] = "default"
    if notification.content.category:
        aps["category"] = notification.content.category
    if shown.image:
        aps["mutable-content"] = 1  # lets the app's service extension fetch `img`
    return aps


def _headers(notification: Notification, device: Device, topic: str, now: datetime) -> dict[str, str]:
    is_shown = _is_shown(notification)
    is_urgent = is_shown and notification.lane is not Lane.BULK  # 10 is refused for background messages
    is_alive = remaining_s(notification, now) > 0
    return {
        "apns-topic": topic,
        "apns-push-type": "alert" if is_shown else "background",
        "apns-priority": "10" if is_urgent else "5",
        "apns-expiration": str(int(notification.expires_at.timestamp())) if is_alive else "0",
        "apns-id": target_id(notification, device),
        "apns-collapse-id": collapse_id(notification),
    }
