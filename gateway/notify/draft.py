"""From a request to notify to a draft that can be stored: every rule on its fields, in one pure function."""

import math
import re
from typing import Final

import msgspec
from msgspec import UNSET, Raw, UnsetType

from broker.errors import BadInput
from broker.notification import DEFAULT_ROUTES, LANE_BY_PRIORITY, MAX_USERS, NO_JSON, Content, Draft, Lane
from config.settings import NotificationSettings
from gateway.notify.messages import NotifyRequest
from gateway.notify.presentation import presentation_of
from gateway.notify.timing import dedup_window_of, digest_of, escalation_of, routing_of, supersedes, terms_of
from gateway.notify.wording import has_wording
from gateway.payloads import is_nested_too_deep

__all__ = ["draft_of"]

_LONGEST_WAIT_S: Final = 30 * 86400.0
_LIMITS: Final = {
    "title": 1024,
    "body": 16384,
    "category": 64,
    "collapse_key": 255,
    "link": 2048,
    "image": 2048,
    "idempotency_key": 255,
}
_USER_LIMIT: Final = 255
# What a client that opens a link would run instead of showing it; browsers skip leading blanks.
_SCRIPT: Final = re.compile(r"\s*(javascript|vbscript|data|blob|file)\s*:", re.IGNORECASE)
_DATA_LIMIT: Final = 16384


def draft_of(
    request: NotifyRequest, defaults: NotificationSettings, correlation_id: str, *, for_audience: bool = False
) -> Draft:
    """Check a request and fill in the defaults.

    Args:
        for_audience: Its users are those of an audience: it must name none, and the draft has none.
    Raises:
        BadInput: Naming the first field that breaks a rule, and the rule.
    """
    users = _no_users(request) if for_audience else _users(request)
    for field, limit in _LIMITS.items():
        if len(getattr(request, field)) > limit:
            raise BadInput(field, f"must be at most {limit} characters")
    for field in ("category", "collapse_key", "link", "image", "idempotency_key"):
        if not getattr(request, field).isprintable():
            raise BadInput(field, "must not hold control characters")
    if _SCRIPT.match(request.link):
        raise BadInput("link", "must not be a script: use https or an address of your app")
    if request.image and not request.image.startswith("https://"):
        raise BadInput("image", "must be an https address")
    data = _data(request.data)
    has_text = bool(request.title or request.body or has_wording(request))
    if not has_text and data is NO_JSON:
        raise BadInput("title", "one of title, body, data, template and variants must not be empty")
    lane, ttl_s = _lane(request.priority), _seconds("ttl_s", request.ttl_s, defaults.ttl)
    waits = (
        _seconds("ack_wait_s", request.ack_wait_s, defaults.ack_wait),
        _seconds("push_wait_s", request.push_wait_s, defaults.push_wait),
    )
    routing = routing_of(request)
    terms = terms_of(request, routing, defaults)
    return Draft(
        users=users,
        content=Content(
            title=request.title,
            body=request.body,
            data=data,
            category=request.category,
            link=request.link,
            image=request.image,
            collapse_key=request.collapse_key,
            **presentation_of(request, data, has_text=has_text),
        ),
        lane=lane,
        routes=routing.routes or DEFAULT_ROUTES,
        ack_wait_s=waits[0],
        push_wait_s=waits[1],
        ttl_s=ttl_s,
        correlation_id=correlation_id,
        inbox=request.inbox,
        terms=terms,
        digest=digest_of(request, lane, terms, ttl_s, defaults),
        escalation=escalation_of(request, users, lane, terms),
        dedup_window_s=dedup_window_of(request),
        supersedes=supersedes(request),
    )


def _lane(priority: str) -> Lane:
    try:
        return LANE_BY_PRIORITY[priority]
    except KeyError:
        raise BadInput("priority", f"must be one of {', '.join(LANE_BY_PRIORITY)}") from None


def _no_users(request: NotifyRequest) -> tuple[str, ...]:
    for field in ("user", "users"):
        if getattr(request, field) is not UNSET:
            raise BadInput(field, "must not be given: the audience says whom it is for")
    for field in ("dedup_window_s", "supersede"):
        if getattr(request, field) is not UNSET:
            raise BadInput(field, "must not be given for an audience, each user of which is told once")
    # It would be told to one person as many times as there are users.
    if request.escalate is not UNSET:
        raise BadInput("escalate", "must not be given for an audience: it would tell one person once for each user of it")
    return ()


def _users(request: NotifyRequest) -> tuple[str, ...]:
    if (request.user is UNSET) == (request.users is UNSET):
        raise BadInput("user", "exactly one of user, users and topic must be given")
    if not isinstance(request.user, UnsetType):
        if not 0 < len(request.user) <= _USER_LIMIT:
            raise BadInput("user", f"must be 1 to {_USER_LIMIT} characters")
        return (request.user,)
    assert not isinstance(request.users, UnsetType)
    if not 0 < len(request.users) <= MAX_USERS:
        raise BadInput("users", f"must hold 1 to {MAX_USERS} users")
    for index, user in enumerate(request.users):
        if not 0 < len(user) <= _USER_LIMIT:
            raise BadInput(f"users[{index}]", f"must be 1 to {_USER_LIMIT} characters")
    if len(set(request.users)) != len(request.users):
        raise BadInput("users", "must not name a user twice")
    return tuple(request.users)


def _data(data: Raw) -> Raw:
    """Accept a JSON object; null counts as absent."""
    value = bytes(data)
    if value in (b"", b"null"):
        return NO_JSON
    if not value.startswith(b"{"):
        raise BadInput("data", "must be a JSON object")
    if len(value) > _DATA_LIMIT:
        raise BadInput("data", f"must be at most {_DATA_LIMIT} bytes")
    try:
        value.decode()
    except UnicodeDecodeError:
        raise BadInput("data", "must be UTF-8") from None
    if is_nested_too_deep(value):
        raise BadInput("data", "is nested too deep")
    # White space between tokens may hold newlines, which would end a message on the wire.
    return Raw(msgspec.json.format(value, indent=-1))


def _seconds(field: str, value: float | UnsetType, default: float) -> float:
    if isinstance(value, UnsetType):
        return default
    if not (math.isfinite(value) and 0 <= value <= _LONGEST_WAIT_S):
        raise BadInput(field, f"must be from 0 to {_LONGEST_WAIT_S:.0f} seconds")
    return value
