"""What a webhook is told: a notification as JSON, the same bytes at each try."""

import math
from typing import Any

import msgspec

from broker.notification import Device, Notification
from pushers.payloads.handles import target_id
from pushers.payloads.sms import SmsText

__all__ = ["compose_hook", "compose_hooked_sms"]


def compose_hook(notification: Notification, device: Device) -> bytes:
    """Compose the notification for whoever an address belongs to; texts that are empty are left out.

    `id` is the notification's, `delivery_id` that of the notification at this address: a repeat has the same. `escalates` names
    the one that nobody saw, where it is told for that.
    """
    content = notification.content
    texts = (
        ("title", content.title),
        ("body", content.body),
        ("category", content.category),
        ("link", content.link),
        ("image", content.image),
        ("collapse_key", content.collapse_key),
        ("escalates", notification.terms.escalates),
    )
    body: dict[str, Any] = _handles(notification, device) | {name: text for name, text in texts if text}
    if bytes(content.data):
        body["data"] = content.data
    return msgspec.json.encode(body)


def compose_hooked_sms(notification: Notification, device: Device, text: SmsText) -> bytes:
    """Compose a text message for a gateway of the operator's own."""
    return msgspec.json.encode(
        _handles(notification, device) | {"text": text.text, "alphabet": text.alphabet, "parts": text.parts}
    )


def _handles(notification: Notification, device: Device) -> dict[str, Any]:
    return {
        "id": notification.id,
        "delivery_id": target_id(notification, device),
        "user": notification.user,
        "to": device.token,
        "priority": notification.lane.name.lower(),
        "created_at": round(notification.created_at.timestamp(), 3),
        "expires_at": math.floor(notification.expires_at.timestamp()),
    }
