"""What APNs is told: body and headers of `POST /3/device/<token>`.

https://developer.apple.com/documentation/usernotifications/generating-a-remote-notification and, for live activities,
https://developer.apple.com/documentation/activitykit/starting-and-updating-live-activities-with-activitykit-push-notifications
"""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any, Final

import msgspec

from broker.notification import Device, Lane, Notification, PushType
from pushers.outcome import DropMessage, TooLarge
from pushers.payloads.data import read_data
from pushers.payloads.handles import collapse_id, remaining_s, target_id
from pushers.payloads.truncation import Shown, fit

__all__ = ["LIMIT_BYTES", "VOIP_LIMIT_BYTES", "ApnsMessage", "compose_apns"]

LIMIT_BYTES: Final = 4096
VOIP_LIMIT_BYTES: Final = 5120
_TOPIC_SUFFIX: Final[Mapping[PushType, str]] = {PushType.VOIP: ".voip", PushType.LIVE_ACTIVITY: ".push-type.liveactivity"}
# Members of the application's data that a live activity reads in `aps`.
_OF_ACTIVITY: Final[tuple[str, ...]] = (
    "event",
    "content-state",
    "attributes-type",
    "attributes",
    "stale-date",
    "dismissal-date",
    "relevance-score",
)


class ApnsMessage(msgspec.Struct, frozen=True):
    """Headers but for the authorization, the JSON body, and what was cut to make it fit."""

    headers: dict[str, str]
    body: bytes
    cuts: tuple[str, ...] = ()


def compose_apns(
    notification: Notification, device: Device, *, topic: str, now: datetime, push_types: Collection[str] = tuple(PushType)
) -> ApnsMessage | TooLarge | DropMessage:
    """Compose the message by its push type: shown, waking the app, ringing, or changing a live activity.

    The application's data stand beside `aps`; `aps`, `hg_id` and the set ones of `link` and `img` are ours and win.

    Args:
        push_types: Those that the app's tokens take; tokens of different kinds come from different registrations on a phone.
    """
    content = notification.content
    push_type = content.effective_push_type
    if push_type not in push_types:
        return DropMessage(f"the app takes no pushes of type {push_type}")
    data: dict[str, Any] = dict(read_data(content))
    activity = {name: data.pop(name) for name in _OF_ACTIVITY if name in data} if push_type is PushType.LIVE_ACTIVITY else {}

    def encode(shown: Shown) -> bytes:
        return msgspec.json.encode(data | _own_members(notification, shown, activity))

    limit_bytes = VOIP_LIMIT_BYTES if push_type is PushType.VOIP else LIMIT_BYTES
    shown = Shown(content.title, content.body, content.image, content.subtitle)
    body = encode(shown)
    cuts: tuple[str, ...] = ()
    if len(body) > limit_bytes:
        fitted = fit(shown, lambda parts: len(encode(parts)), limit_bytes)
        if fitted is None:
            return TooLarge(limit_bytes)
        body, cuts = encode(fitted.shown), fitted.cuts
    return ApnsMessage(_headers(notification, device, topic, now), body, cuts)


def _own_members(notification: Notification, shown: Shown, activity: Mapping[str, Any]) -> dict[str, Any]:
    content = notification.content
    members: dict[str, Any] = {"aps": _aps(notification, shown, activity), "hg_id": notification.id}
    if content.link:
        members["link"] = content.link
    if shown.image:
        members["img"] = shown.image
    return members


def _aps(notification: Notification, shown: Shown, activity: Mapping[str, Any]) -> dict[str, Any]:
    texts = (("title", shown.title), ("subtitle", shown.subtitle), ("body", shown.body))
    alert = {name: text for name, text in texts if text}
    match notification.content.effective_push_type:
        case PushType.BACKGROUND:
            return {"content-available": 1}
        case PushType.VOIP:  # the app rings by itself: what is told is told to it
            return {"alert": alert} if alert else {}
        case PushType.LIVE_ACTIVITY:
            # By the timestamp the phone tells which of two updates is the newer one.
            aps = {"timestamp": int(notification.created_at.timestamp()), **activity}
            return aps | ({"alert": alert} if alert else {})
        case PushType.ALERT:
            return _alert(notification, shown, alert)


def _alert(notification: Notification, shown: Shown, alert: Mapping[str, str]) -> dict[str, Any]:
    content = notification.content
    aps: dict[str, Any] = {"alert": alert}
    if notification.lane is Lane.BULK:
        aps["interruption-level"] = "passive"
    elif content.sound != "none":
        aps["sound"] = content.sound or "default"
    if content.category:
        aps["category"] = content.category
    if content.thread:
        aps["thread-id"] = content.thread
    if content.badge is not None:
        aps["badge"] = content.badge
    if shown.image:
        aps["mutable-content"] = 1  # lets the app's service extension fetch `img`
    return aps


def _headers(notification: Notification, device: Device, topic: str, now: datetime) -> dict[str, str]:
    push_type = notification.content.effective_push_type
    is_alive = remaining_s(notification, now) > 0
    headers = {
        "apns-topic": topic + _TOPIC_SUFFIX.get(push_type, ""),
        "apns-push-type": push_type.replace("-", ""),
        "apns-priority": "10" if _is_urgent(push_type, notification.lane) else "5",
        "apns-expiration": str(int(notification.expires_at.timestamp())) if is_alive else "0",
        "apns-id": target_id(notification, device),
    }
    if push_type in (PushType.ALERT, PushType.BACKGROUND):
        headers["apns-collapse-id"] = collapse_id(notification)
    return headers


def _is_urgent(push_type: PushType, lane: Lane) -> bool:
    match push_type:
        case PushType.BACKGROUND:
            return False  # 10 is refused
        case PushType.LIVE_ACTIVITY:
            return lane <= Lane.HIGH  # each 10 is taken off the budget that the system gives an activity
        case _:
            return lane is not Lane.BULK
