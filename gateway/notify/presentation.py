"""How a notification is to appear on a device beside its texts: subtitle, badge, sound, thread, and what kind of push it is."""

import re
from typing import Any, Final

import msgspec
from msgspec import Raw, UnsetType

from broker.errors import BadInput
from broker.notification import PushType
from gateway.notify.messages import NotifyRequest

__all__ = ["presentation_of"]

_LIMITS: Final = {"subtitle": 256, "sound": 64, "thread": 64}
_MOST_BADGE: Final = 99_999
_SOUND: Final = re.compile(r"[A-Za-z0-9 _.-]*")
_EVENTS: Final = ("start", "update", "end")


def presentation_of(request: NotifyRequest, data: Raw, *, has_text: bool) -> dict[str, Any]:
    """Check these fields; gives them as members of `Content`.

    Args:
        data: The request's data, checked already.
        has_text: Whether there is anything to show.
    Raises:
        BadInput: Naming the field and the rule.
    """
    for field, limit in _LIMITS.items():
        if len(getattr(request, field)) > limit:
            raise BadInput(field, f"must be at most {limit} characters")
    if not request.thread.isprintable():
        raise BadInput("thread", "must not hold control characters")
    if not _SOUND.fullmatch(request.sound):
        raise BadInput("sound", 'must be the name of a sound in the app, "default" or "none"')
    badge = None if isinstance(request.badge, UnsetType) else request.badge
    if badge is not None and not 0 <= badge <= _MOST_BADGE:
        raise BadInput("badge", f"must be from 0 to {_MOST_BADGE}")
    shown = {"subtitle": request.subtitle, "badge": badge, "sound": request.sound, "thread": request.thread}
    return shown | {"push_type": _push_type(request.push_type, data, has_text=has_text)}


def _push_type(name: str, data: Raw, *, has_text: bool) -> PushType | None:
    if not name:
        return None
    try:
        push_type = PushType(name)
    except ValueError:
        raise BadInput("push_type", f"must be one of {', '.join(PushType)}") from None
    if push_type is PushType.ALERT and not has_text:
        raise BadInput("push_type", "alert needs a title, a body, a template or variants")
    if push_type is PushType.LIVE_ACTIVITY:
        _check_activity(msgspec.json.decode(bytes(data) or b"{}", type=dict[str, Any]))
    return push_type


def _check_activity(data: dict[str, Any]) -> None:
    """Hold data against what a live activity reads: https://developer.apple.com/documentation/activitykit."""
    event = data.get("event")
    if event not in _EVENTS:
        raise BadInput("data.event", f"must be one of {', '.join(_EVENTS)} for a live activity")
    if event != "end" and not isinstance(data.get("content-state"), dict):
        raise BadInput("data.content-state", "must be an object for a live activity that starts or changes")
    if event == "start":
        if not isinstance(data.get("attributes-type"), str):
            raise BadInput("data.attributes-type", "must name the attributes of a live activity that starts")
        if not isinstance(data.get("attributes"), dict):
            raise BadInput("data.attributes", "must be an object for a live activity that starts")
