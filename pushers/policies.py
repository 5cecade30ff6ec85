"""What settings and users say about a step, as questions that a decision asks: is a route open, when may it be used, which way.

Pure, like the decision itself. The notification's own word comes before its user's (on the category, then on all), that before
its category's, and that before the default.
"""

import hashlib
from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import cache
from typing import Final

import msgspec

from broker.habits import LONGEST_WAIT, UsualMoment, usual_moment
from broker.ledger import Step
from broker.notification import Lane, Outcome
from broker.preferences import ANY, word_on
from broker.quiet_hours import QuietHours, next_at, zone_of
from broker.routing import DEFAULT_ROUTES, Quorum, Route, RoutePolicy, StopOn, in_turn
from config.category_settings import CapSettings, RoutingSettings
from config.settings import NotificationSettings

__all__ = ["Cap", "Peace", "Policies"]

# What makes a noise, or rings at night. Live is for whoever looks at a screen, and a webhook is a machine.
_DISTURBING: Final = frozenset({Route.PUSH, Route.EMAIL, Route.SMS})


class Cap(msgspec.Struct, frozen=True):
    """At most so many notifications of a category within a window."""

    limit: int
    window: timedelta


class Peace(msgspec.Struct, frozen=True):
    """Until when a user is left in peace, and why; with `drops` what would disturb is left out, and not held until then."""

    until: datetime
    reason: str
    drops: bool = False


class _Category(msgspec.Struct, frozen=True):
    required: bool = False
    off: frozenset[str] = frozenset()
    routing: RoutePolicy = RoutePolicy()
    cap: Cap | None = None


class Policies:
    """The rules of one process."""

    def __init__(self, settings: NotificationSettings) -> None:
        self._timezone = settings.timezone
        self._ignoring = frozenset(settings.quiet_hours.ignored_by)
        self._dropped = frozenset(settings.quiet_hours.dropped)
        self._jitter_s = settings.quiet_hours.jitter
        self._skipping = frozenset(Lane[name.upper()] for name in settings.skip_open)
        default = _routing_of(settings.routing)
        self._default = default if default.stages else default.over(RoutePolicy(in_turn(DEFAULT_ROUTES)))
        cap = _cap_of(settings.cap)
        self._has_caps = bool(cap) or any(category.cap.limit for category in settings.categories)
        self._other = _Category(cap=cap)
        self._categories: Mapping[str, _Category] = {
            category.name: _Category(
                category.required,
                frozenset(category.off_by_default),
                _routing_of(category.routing),
                _cap_of(category.cap) or cap,
            )
            for category in settings.categories
        }

    def routing(self, step: Step) -> RoutePolicy:
        """Tell the way that a notification goes; `stages` is never empty."""
        notification = step.notification
        said = notification.terms.routing
        if said is None:
            return _walked_in_turn(notification.routes)
        if (own := step.rules.routing_by_category.get(notification.content.category)) is not None:
            said = said.over(own)
        if step.rules.routing is not None:
            said = said.over(step.rules.routing)
        return said.over(self._category(step).routing).over(self._default)

    def is_open(self, step: Step, route: Route, now: datetime) -> bool:
        """Tell whether the user wants to be told by a route."""
        category = self._category(step)
        if category.required or step.notification.terms.to_url:
            return True
        word = word_on(step.preferences, step.notification.content.category, route, now) if step.preferences else None
        if word is not None:
            # A word on everything does not switch on what users are asked for by name.
            return word.enabled and (word.category != ANY or not self._is_off(category, route))
        return not self._is_off(category, route)

    def starts_at(self, step: Step) -> datetime:
        """Tell before when nothing may be told."""
        terms, created_at = step.notification.terms, step.notification.created_at
        if terms.by_habit:
            return self.usual_moment(step).at
        if terms.send_at_local:
            return next_at(terms.send_at_local, created_at, zone_of(*self._zones(step)))
        if terms.collects_until:
            zone = zone_of(*self._zones(step))
            return min(next_at(local_time, created_at, zone) for local_time in terms.collects_until)
        return terms.send_at or created_at

    def usual_moment(self, step: Step) -> UsualMoment:
        """Tell when a notification is to be told that goes by its user's habit. That is decided once: what is learnt while it
        waits moves it no more."""
        terms = step.notification.terms
        since = terms.send_at or step.notification.created_at
        if any(entry.route or entry.outcome is Outcome.DEFERRED for entry in step.entries):
            return UsualMoment(since, "")
        latest = terms.latest or since + LONGEST_WAIT
        zone = zone_of(*self._zones(step))
        return usual_moment(step.habits, since=since, latest=latest, zone=zone, otherwise=terms.send_at_local)

    def peace(self, step: Step, route: Route, now: datetime) -> Peace | None:
        """Tell until when a route must wait because the user is to be left in peace; None where it need not."""
        rules = step.rules
        if route not in _DISTURBING or (rules.snoozed_until is None and rules.quiet_hours is None):
            return None
        priority = step.notification.lane.name.lower()
        snoozed_until = None if priority in self._ignoring else rules.snoozed_until
        quiet = self._quiet_hours(step, priority)
        until, reason, is_quiet = now, "", False
        # The end of the one may lie within the other.
        for _ in range(4):
            before = until
            if snoozed_until is not None and until < snoozed_until:
                until, reason, is_quiet = snoozed_until, "snoozed", False
            if quiet is not None:
                zone = zone_of(quiet.timezone, *self._zones(step))
                if (end := quiet.until(until, zone)) is not None:
                    until, reason, is_quiet = end, f"quiet hours until {quiet.end} in {zone.key}", True
            if until == before:
                break
        if until == now:
            return None
        return Peace(until + self._stagger(step, until) if is_quiet else until, reason, is_quiet and priority in self._dropped)

    def _quiet_hours(self, step: Step, priority: str) -> QuietHours | None:
        """Tell the quiet hours that a priority heeds: the user's word on that goes before the settings'."""
        quiet = step.rules.quiet_hours
        if quiet is None or priority in (self._ignoring if quiet.ignored_by is None else quiet.ignored_by):
            return None
        return quiet

    def _stagger(self, step: Step, until: datetime) -> timedelta:
        """Tell how long after the end of quiet hours a user has their turn. All of theirs go together, on each day at another
        moment; what expires soon waits at most half of the time that it has left."""
        digest = hashlib.blake2b(f"{step.notification.user}\0{until.timestamp():.0f}".encode(), digest_size=8).digest()
        jitter = timedelta(seconds=self._jitter_s * int.from_bytes(digest, "big") / 2**64)
        return max(timedelta(0), min(jitter, (step.notification.expires_at - until) / 2))

    def cap(self, step: Step) -> Cap | None:
        """Tell how often the user may be disturbed by such notifications; None for no limit."""
        if not self._has_caps or step.notification.lane is Lane.CRITICAL:
            return None
        return self._category(step).cap

    def skips_open(self, step: Step) -> bool:
        """Whether a notification goes on to its next route rather than wait for a carrier whose breaker is open."""
        return step.notification.lane in self._skipping

    @staticmethod
    def is_capped(route: Route) -> bool:
        """Whether caps hold for a route."""
        return route in _DISTURBING

    def _category(self, step: Step) -> _Category:
        return self._categories.get(step.notification.content.category, self._other)

    @staticmethod
    def _is_off(category: _Category, route: Route) -> bool:
        return route in category.off or ANY in category.off

    def _zones(self, step: Step) -> tuple[str, ...]:
        devices = reversed(step.devices)  # the newest stands last
        newest = next((device.timezone for device in devices if device.timezone), "")
        if not newest and step.device is not None:
            newest = step.device.timezone
        return step.rules.timezone, newest, self._timezone


@cache
def _walked_in_turn(routes: tuple[Route, ...]) -> RoutePolicy:
    """Make the policy of those who only name routes: there are few such lists, and a decision asks twice."""
    return RoutePolicy(in_turn(routes))


def _cap_of(settings: CapSettings) -> Cap | None:
    return Cap(settings.limit, timedelta(seconds=settings.window)) if settings.limit else None


def _routing_of(settings: RoutingSettings) -> RoutePolicy:
    return RoutePolicy(
        tuple(tuple(Route(name) for name in stage) for stage in settings.stages),
        {Route(name): wait_s for name, wait_s in settings.waits.items()},
        StopOn(settings.stop_on) if settings.stop_on else None,
        Quorum(settings.devices) if settings.devices else None,
    )
