"""From what a user asks for to rules that are kept, and back."""

from collections.abc import Iterable, Sequence
from datetime import datetime

from msgspec import UNSET, UnsetType

from broker.errors import BadInput
from broker.notification import LANE_BY_PRIORITY, Device, Preference
from broker.preferences import UserRules, check_preferences
from broker.quiet_hours import QuietHours, check_days, check_local_time, check_zone
from broker.templates import check_locale
from config.settings import NotificationSettings
from gateway.notify.messages import PreferenceItem, PreferencesResult, PreferencesSetRequest
from gateway.notify.policy_messages import QuietHoursItem, RoutingItem
from gateway.notify.timing import moment_of, policy_of

__all__ = ["changed_rules", "changes_rules", "preferences_result", "words_of"]


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
    given = (request.quiet_hours, request.snooze_until, request.timezone, request.routing, request.locale)
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
    return UserRules(quiet_hours, snoozed_until, timezone, routing, locale)


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
        UNSET if rules.routing is None else _routing(rules),
        rules.locale or UNSET,
    )


def _quiet_item(quiet: QuietHours) -> QuietHoursItem:
    ignored_by = UNSET if quiet.ignored_by is None else list(quiet.ignored_by)
    return QuietHoursItem(quiet.begin, quiet.end, quiet.timezone, list(quiet.days) or UNSET, ignored_by)


def _routing(rules: UserRules) -> RoutingItem:
    routing = rules.routing
    assert routing is not None
    stages: list[str | list[str]] = [stage[0].value if len(stage) == 1 else list(stage) for stage in routing.stages]
    return RoutingItem(
        stages or UNSET,
        {route.value: wait for route, wait in routing.waits.items()},
        routing.stop_on or "",
        routing.devices or "",
    )
