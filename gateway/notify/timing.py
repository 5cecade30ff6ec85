"""From what a request says about when and how somebody is told to values: every rule on these fields."""

import math
from datetime import UTC, datetime
from typing import Final

from msgspec import UNSET, UnsetType

from broker.errors import BadInput
from broker.notification import Digest, Escalation, Lane, Terms
from broker.quiet_hours import check_local_time
from broker.routing import Route, RoutePolicy, check_policy
from config.egress import Forbidden, check_endpoint
from config.settings import NotificationSettings
from gateway.notify.messages import NotifyRequest
from gateway.notify.policy_messages import DigestItem, EscalateItem, Moment, RoutingItem

__all__ = ["dedup_window_of", "digest_of", "escalation_of", "moment_of", "policy_of", "routing_of", "supersedes", "terms_of"]

_LONGEST_WINDOW_S: Final = 7 * 86400.0
_MOST_TIMES: Final = 24
_LONGEST_DELAY_S: Final = 7 * 86400.0
_LATEST: Final = datetime(9999, 1, 1, tzinfo=UTC)


def moment_of(value: Moment, field: str) -> datetime:
    """Read a moment.

    Raises:
        BadInput: It is none.
    """
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else datetime.fromtimestamp(value, UTC)
    except (ValueError, OverflowError, OSError):
        raise BadInput(field, "must be Unix seconds or RFC 3339 with a zone") from None
    if moment.tzinfo is None:
        raise BadInput(field, "must be Unix seconds or RFC 3339 with a zone")
    if not datetime(1971, 1, 1, tzinfo=UTC) < moment < _LATEST:
        raise BadInput(field, "must lie between 1971 and 9998")
    return moment.astimezone(UTC)


def routing_of(request: NotifyRequest) -> RoutePolicy:
    """Read what a request says about routes.

    Raises:
        BadInput: It contradicts itself, or names what is none.
    """
    waits = dict(request.waits)
    for route, given, field in (
        (Route.LIVE, request.ack_wait_s, "ack_wait_s"),
        (Route.PUSH, request.push_wait_s, "push_wait_s"),
    ):
        if isinstance(given, UnsetType):
            continue
        if route in waits:
            raise BadInput(f"waits.{route}", f"must not be given beside {field}")
        if request.routes is UNSET or any(route == stage or route in stage for stage in request.routes):
            waits[route] = given
    routes = None if isinstance(request.routes, UnsetType) else request.routes
    return check_policy(routes, waits, request.stop_on, request.devices)


def policy_of(item: RoutingItem, field: str) -> RoutePolicy:
    """Read a policy that stands by itself."""
    routes = None if isinstance(item.routes, UnsetType) else item.routes
    return check_policy(routes, item.waits, item.stop_on, item.devices, field=f"{field}.")


def terms_of(request: NotifyRequest, routing: RoutePolicy, settings: NotificationSettings) -> Terms:
    """Read when a notification is to be told. Whether that is over the store can tell, by its clock."""
    if request.send_at is not UNSET and request.send_at_local:
        raise BadInput("send_at_local", "must not be given beside send_at")
    send_at = None if isinstance(request.send_at, UnsetType) else moment_of(request.send_at, "send_at")
    if request.send_at_local:
        check_local_time(request.send_at_local, "send_at_local")
    is_later = send_at is not None or bool(request.send_at_local) or request.send_by_habit is not UNSET
    by_habit, latest = _habit_of(request, send_at, settings)
    return Terms(routing, send_at, request.send_at_local, by_habit, latest, arrives=is_later and request.inbox)


def _habit_of(request: NotifyRequest, send_at: datetime | None, settings: NotificationSettings) -> tuple[bool, datetime | None]:
    """Read whether a notification is told by its user's habit, and until when at the latest."""
    item = request.send_by_habit
    if isinstance(item, UnsetType):
        return False, None
    if not settings.habits.enabled:
        raise BadInput("send_by_habit", "is not available: notifications.habits is not enabled")
    if isinstance(item.latest, UnsetType):
        return True, None
    latest = moment_of(item.latest, "send_by_habit.latest")
    if send_at is not None and latest < send_at:
        raise BadInput("send_by_habit.latest", "must not be before send_at")
    return True, latest


def digest_of(request: NotifyRequest, lane: Lane, terms: Terms, ttl_s: float, defaults: NotificationSettings) -> Digest | None:
    """Read whether a notification is collected."""
    item = request.digest
    if isinstance(item, UnsetType):
        return None
    if not 0 < len(item.key) <= 255 or not item.key.isprintable():
        raise BadInput("digest.key", "must be 1 to 255 printable characters")
    if len(item.title) > 1024:
        raise BadInput("digest.title", "must be at most 1024 characters")
    if item.title and item.template is not UNSET:
        raise BadInput("digest.title", "must not be given beside digest.template")
    if lane is Lane.CRITICAL:
        raise BadInput("digest", "must not be given with priority critical, which never waits")
    if terms.send_at is not None or terms.send_at_local or terms.by_habit:
        raise BadInput("digest", "must not be given beside send_at, send_at_local and send_by_habit")
    window_s, longest_s = _window_of(item, ttl_s)
    title = item.title or defaults.digest_title or "{count}"
    return Digest(item.key, window_s, title, longest_s, _times_of(item), item.first_at_once)


def _window_of(item: DigestItem, ttl_s: float) -> tuple[float, float]:
    """Read for how long is collected, and for how long at most where each one begins that anew; 0 where it is not said."""
    if isinstance(item.window_s, UnsetType):
        if item.at is UNSET:
            raise BadInput("digest.window_s", "one of digest.window_s and digest.at must be given")
        if item.longest_s is not UNSET:
            raise BadInput("digest.longest_s", "must only be given beside digest.window_s")
        return 0.0, 0.0
    if item.at is not UNSET:
        raise BadInput("digest.at", "must not be given beside digest.window_s")
    if not (math.isfinite(item.window_s) and 0 < item.window_s <= _LONGEST_WINDOW_S):
        raise BadInput("digest.window_s", f"must be above 0 and at most {_LONGEST_WINDOW_S:.0f} seconds")
    if isinstance(item.longest_s, UnsetType):
        if ttl_s <= item.window_s:
            raise BadInput("digest.window_s", "must be shorter than ttl_s: it would expire before it is told")
        return item.window_s, 0.0
    if not item.window_s <= item.longest_s <= _LONGEST_WINDOW_S:
        raise BadInput("digest.longest_s", f"must be from digest.window_s to {_LONGEST_WINDOW_S:.0f} seconds")
    if ttl_s <= item.longest_s:
        raise BadInput("digest.longest_s", "must be shorter than ttl_s: it would expire before it is told")
    return item.window_s, item.longest_s


def _times_of(item: DigestItem) -> tuple[str, ...]:
    if isinstance(item.at, UnsetType):
        return ()
    if not 0 < len(item.at) <= _MOST_TIMES:
        raise BadInput("digest.at", f"must hold 1 to {_MOST_TIMES} times of day")
    times = tuple(check_local_time(text, f"digest.at[{index}]") for index, text in enumerate(item.at))
    if len(set(times)) != len(times):
        raise BadInput("digest.at", "must not name a time twice")
    return times


def dedup_window_of(request: NotifyRequest) -> float:
    """Read within how many seconds the same is told once; 0 for however often."""
    window_s = request.dedup_window_s
    if isinstance(window_s, UnsetType):
        return 0.0
    if not (math.isfinite(window_s) and 0 < window_s <= _LONGEST_WINDOW_S):
        raise BadInput("dedup_window_s", f"must be above 0 and at most {_LONGEST_WINDOW_S:.0f} seconds")
    return window_s


def supersedes(request: NotifyRequest) -> bool:
    """Read whether a notification takes the place of older ones."""
    if request.supersede is True and not request.collapse_key:
        raise BadInput("supersede", "must only be given beside collapse_key, which says what it takes the place of")
    return request.supersede is True


def escalation_of(request: NotifyRequest, users: tuple[str, ...], lane: Lane, terms: Terms) -> Escalation | None:
    """Read who is told where nobody sees a notification."""
    item = request.escalate
    if isinstance(item, UnsetType):
        return None
    if lane is not Lane.CRITICAL:
        raise BadInput("escalate", "must only be given with priority critical")
    if not (math.isfinite(item.after_s) and 0 < item.after_s <= _LONGEST_DELAY_S):
        raise BadInput("escalate.after_s", f"must be above 0 and at most {_LONGEST_DELAY_S:.0f} seconds")
    if terms.send_at_local:
        raise BadInput("escalate", "must not be given beside send_at_local")
    if terms.by_habit:
        raise BadInput("escalate", "must not be given beside send_by_habit")
    if item.to_url:
        return Escalation("", item.after_s, RoutePolicy(((Route.WEBHOOK,),)), _address_of(item))
    if not 0 < len(item.to_user) <= 255 or "\0" in item.to_user:
        raise BadInput("escalate.to_user", "must be 1 to 255 characters")
    if item.to_user in users:
        raise BadInput("escalate.to_user", "must be somebody else")
    routes = None if isinstance(item.routes, UnsetType) else item.routes
    return Escalation(item.to_user, item.after_s, check_policy(routes, {}, "", "", field="escalate."))


def _address_of(item: EscalateItem) -> str:
    """Read where is called; what the name leads to is looked at before each call."""
    if item.to_user:
        raise BadInput("escalate.to_url", "must not be given beside escalate.to_user")
    if item.routes is not UNSET:
        raise BadInput("escalate.routes", "must not be given beside escalate.to_url: it is called by webhook")
    try:
        return check_endpoint(item.to_url, ("*",)).url
    except Forbidden as exc:
        raise BadInput("escalate.to_url", f"must be a public https address: {exc}") from None
