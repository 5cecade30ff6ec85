"""From what a user asks for to rules that are kept, and back."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Final

from msgspec import UNSET, UnsetType

from broker.errors import BadInput
from broker.notification import LANE_BY_PRIORITY, Device, Preference
from broker.preferences import ANY, UserRules, check_preferences, is_enabled
from broker.quiet_hours import QuietHours, check_days, check_local_time, check_zone
from broker.routing import RoutePolicy
from broker.templates import check_locale
from config.settings import NotificationSettings
from gateway.notify.messages import PreferenceItem, PreferencesResult, PreferencesSetRequest
from gateway.notify.policy_messages import QuietHoursItem, RoutingItem
from gateway.notify.timing import moment_of, policy_of

__all__ = ["changed_rules", "changes_rules", "check_ways", "preferences_result", "words_of"]

_MOST_CATEGORIES: Final = 100


def words_of(items: Sequence[PreferenceItem], settings: NotificationSettings) -> tuple[Preference, ...]:
    """Read single preferences.

    Raises:
        BadInput: One breaks a rule, or switches off what is required.
    """
    if not items:
        return ()
    words = check_preferences(
        Preference(item.category, item.route, item.enabled, _end_of(item, f"preferences[{index}].until"))
        for index, item in enumerate(items)
    )
    required = {category.name for category in settings.categories if category.required}
    for index, word in enumerate(words):
        if word.category in required and not word.enabled:
            raise BadInput(f"preferences[{index}].enabled", "must not be false: the category is required")
    return words


def _end_of(item: PreferenceItem, field: str) -> datetime | None:
    return None if isinstance(item.until, UnsetType) else moment_of(item.until, field)


def changes_rules(request: PreferencesSetRequest) -> bool:
    """Whether a request is about more than single preferences."""
    given = (
        *(request.quiet_hours, request.snooze_until, request.timezone),
        *(request.routing, request.routing_by_category, request.locale),
    )
    return any(value is not UNSET for value in given)


def changed_rules(
    before: UserRules, request: PreferencesSetRequest, devices: Iterable[Device], settings: NotificationSettings
) -> UserRules:
    """Put what a request names in the place of what was said before; null takes it back.

    Raises:
        BadInput: A field breaks a rule.
    """
    timezone = before.timezone
    if not isinstance(request.timezone, UnsetType):
        timezone = check_zone(request.timezone, "timezone") if request.timezone else ""
    quiet_hours = before.quiet_hours
    if not isinstance(request.quiet_hours, UnsetType):
        # Fixed here: whoever sends to a single device later knows that one's zone only.
        newest_first = sorted(devices, key=lambda device: device.registered_at, reverse=True)
        own = timezone or next((device.timezone for device in newest_first if device.timezone), settings.timezone)
        quiet_hours = None if request.quiet_hours is None else _quiet_hours(request.quiet_hours, own)
    snoozed_until = before.snoozed_until
    if not isinstance(request.snooze_until, UnsetType):
        snoozed_until = None if request.snooze_until is None else moment_of(request.snooze_until, "snooze_until")
    routing = before.routing
    if not isinstance(request.routing, UnsetType):
        routing = None if request.routing is None else policy_of(request.routing, "routing")
    locale = before.locale
    if not isinstance(request.locale, UnsetType):
        locale = check_locale(request.locale) if request.locale else ""
    by_category = _routing_by_category(before.routing_by_category, request.routing_by_category)
    return UserRules(quiet_hours, snoozed_until, timezone, routing, locale, by_category)


def check_ways(rules: UserRules, request: PreferencesSetRequest, words: Iterable[Preference]) -> None:
    """Hold the routes that a request asks for against what the user wants to be told at all.

    Args:
        words: All that were said, the later one of a pair counting.
    Raises:
        BadInput: Every route of a policy is switched off.
    """
    asked = [(f"routing_by_category.{name}", name, rules.routing_by_category.get(name)) for name in _named(request)]
    if request.routing is not UNSET:
        asked.append(("routing", ANY, rules.routing))
    known = list(words)
    for field, category, policy in asked:
        routes = policy.routes if policy is not None else ()
        if routes and not any(is_enabled(known, category, route) for route in routes):
            raise BadInput(f"{field}.routes", "must name a route that the user's preferences do not switch off")


def _named(request: PreferencesSetRequest) -> Sequence[str]:
    return () if isinstance(request.routing_by_category, UnsetType) else tuple(request.routing_by_category)


def _routing_by_category(
    before: Mapping[str, RoutePolicy], items: Mapping[str, RoutingItem | None] | UnsetType
) -> Mapping[str, RoutePolicy]:
    if isinstance(items, UnsetType):
        return before
    after = dict(before)
    for category, item in items.items():
        field = f"routing_by_category.{category}"
        if not 1 <= len(category) <= 64 or category == ANY or not category.isprintable():
            raise BadInput("routing_by_category", "must name categories, of 1 to 64 characters; `routing` is for all")
        after.pop(category, None)
        if item is not None:
            after[category] = policy_of(item, field)
    if len(after) > _MOST_CATEGORIES:
        raise BadInput("routing_by_category", f"must come to at most {_MOST_CATEGORIES} categories")
    return dict(sorted(after.items()))


def _quiet_hours(item: QuietHoursItem, own_zone: str) -> QuietHours:
    begin = check_local_time(item.begin, "quiet_hours.from")
    end = check_local_time(item.end, "quiet_hours.to")
    if begin == end:
        raise BadInput("quiet_hours.to", "must differ from quiet_hours.from: they would cover the whole day")
    zone = check_zone(item.timezone, "quiet_hours.timezone") if item.timezone else own_zone
    days = () if isinstance(item.days, UnsetType) else check_days(item.days, "quiet_hours.days")
    ignored_by = None if isinstance(item.ignored_by, UnsetType) else _priorities(item.ignored_by, "quiet_hours.ignored_by")
    return QuietHours(begin, end, zone, days, ignored_by)


def _priorities(names: Sequence[str], field: str) -> tuple[str, ...]:
    for index, name in enumerate(names):
        if name not in LANE_BY_PRIORITY:
            raise BadInput(f"{field}[{index}]", f"must be one of {', '.join(LANE_BY_PRIORITY)}")
    return tuple(name for name in LANE_BY_PRIORITY if name in names)


def preferences_result(words: Iterable[Preference], rules: UserRules) -> PreferencesResult:
    """Write what a user said."""
    quiet = rules.quiet_hours
    return PreferencesResult(
        [
            PreferenceItem(word.category, word.route, word.enabled, word.until.timestamp() if word.until else UNSET)
            for word in words
        ],
        UNSET if quiet is None else _quiet_item(quiet),
        UNSET if rules.snoozed_until is None else rules.snoozed_until.timestamp(),
        rules.timezone or UNSET,
        UNSET if rules.routing is None else _routing_item(rules.routing),
        {category: _routing_item(policy) for category, policy in rules.routing_by_category.items()} or UNSET,
        rules.locale or UNSET,
    )


def _quiet_item(quiet: QuietHours) -> QuietHoursItem:
    ignored_by = UNSET if quiet.ignored_by is None else list(quiet.ignored_by)
    return QuietHoursItem(quiet.begin, quiet.end, quiet.timezone, list(quiet.days) or UNSET, ignored_by)


def _routing_item(routing: RoutePolicy) -> RoutingItem:
    stages: list[str | list[str]] = [stage[0].value if len(stage) == 1 else list(stage) for stage in routing.stages]
    return RoutingItem(
        stages or UNSET,
        {route.value: wait for route, wait in routing.waits.items()},
        routing.stop_on or "",
        routing.devices or "",
    )
