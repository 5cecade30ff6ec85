"""Port: what users want to be told, how and when; and the rules that a preference must meet."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Protocol

import msgspec

from broker.errors import BadInput
from broker.notification import ROUTES, Preference
from broker.quiet_hours import QuietHours
from broker.routing import RoutePolicy

__all__ = ["ANY", "Preferences", "UserRules", "check_preferences", "is_enabled", "word_on"]

ANY = "*"


class UserRules(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a user says beside single preferences: when to be left in peace, where on earth they live, which way to go, at all
    and by category, and in which language; `locale` is canonical."""

    quiet_hours: QuietHours | None = None
    snoozed_until: datetime | None = None
    timezone: str = ""
    routing: RoutePolicy | None = None
    locale: str = ""
    routing_by_category: Mapping[str, RoutePolicy] = {}


class Preferences(Protocol):
    """A user's words, one per (category, route), and their rules."""

    async def of_user(self, user: str) -> Sequence[Preference]:
        """List a user's preferences by category and route."""

    async def set(self, user: str, preferences: Sequence[Preference]) -> None:
        """Replace the named (category, route) pairs, all or none; others stay."""

    async def rules_of(self, user: str) -> UserRules:
        """Read a user's rules; without any they are empty."""

    async def change(self, user: str, preferences: Sequence[Preference], rules: UserRules) -> None:
        """Replace the named pairs and all rules, both or neither."""


def check_preferences(preferences: Iterable[Preference]) -> tuple[Preference, ...]:
    """Hold preferences against the rules.

    Raises:
        BadInput: Naming the field and the rule.
    """
    checked = tuple(preferences)
    if not checked:
        raise BadInput("preferences", "must hold at least one preference")
    for index, preference in enumerate(checked):
        if not 1 <= len(preference.category) <= 64:
            raise BadInput(f"preferences[{index}].category", 'must be 1 to 64 characters, or "*" for all')
        if preference.route not in (*ROUTES, ANY):
            raise BadInput(f"preferences[{index}].route", f"must be one of {', '.join(ROUTES)} or * for all")
    return checked


def is_enabled(preferences: Iterable[Preference], category: str, route: str) -> bool:
    """Judge whether a route is open for a category; without any word on it a route is open."""
    word = word_on(preferences, category, route)
    return word is None or word.enabled


def word_on(preferences: Iterable[Preference], category: str, route: str, now: datetime | None = None) -> Preference | None:
    """Find the preference that decides: the most exact one, the category before the route, of those that count at `now`."""
    words = {(word.category, word.route): word for word in preferences if word.until is None or now is None or now < word.until}
    for key in ((category, route), (category, ANY), (ANY, route), (ANY, ANY)):
        if key in words:
            return words[key]
    return None
