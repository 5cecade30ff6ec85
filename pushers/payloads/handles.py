"""The handles that tie a provider's request to its notification, so that a repeat replaces instead of doubling."""

import base64
import hashlib
import re
import uuid
from datetime import datetime, timedelta
from typing import Final

from broker.notification import Device, Notification

__all__ = ["collapse_id", "remaining_s", "target_id", "topic"]

_COLLAPSE_ID_BYTES: Final = 64
_TOPIC: Final = re.compile(r"[A-Za-z0-9_-]{1,32}")
_MAX_TTL_S: Final = 28 * 24 * 3600
_SECOND: Final = timedelta(seconds=1)


def target_id(notification: Notification, device: Device) -> str:
    """Name this notification at this device: a UUID version 5 of both ids, lower case, the same at each try."""
    # RFC 9562 §5.5, as `uuid.uuid5` does it in three times the time.
    digest = hashlib.sha1(_bytes_of(notification) + device.id.encode(), usedforsecurity=False).digest()
    return str(uuid.UUID(bytes=digest[:16], version=5))


def collapse_id(notification: Notification) -> str:
    """Name what a newer message replaces, for `apns-collapse-id`: printable ASCII of at most 64 bytes.

    Without a collapse key it is the notification itself, so that only its own repeat replaces it.
    """
    key = notification.content.collapse_key or notification.id
    if len(key) <= _COLLAPSE_ID_BYTES and key.isascii() and key.isprintable() and key == key.strip():
        return key
    return hashlib.sha256(key.encode()).hexdigest()


def topic(notification: Notification) -> str:
    """Name the same for the header `Topic` (RFC 8030 §5.4): at most 32 characters of the base64url alphabet."""
    key = notification.content.collapse_key
    if not key:
        return base64.urlsafe_b64encode(_bytes_of(notification))[:22].decode()  # 16 bytes, without what fills up
    if _TOPIC.fullmatch(key):
        return key
    return base64.urlsafe_b64encode(hashlib.sha256(key.encode()).digest())[:32].decode()


def _bytes_of(notification: Notification) -> bytes:
    return bytes.fromhex(notification.id.replace("-", ""))


def remaining_s(notification: Notification, now: datetime) -> int:
    """Whole seconds that the provider may still try: 0 is now or never, and four weeks the most that they keep anything."""
    seconds = (notification.expires_at - now) // _SECOND
    return 0 if seconds < 0 else min(seconds, _MAX_TTL_S)
