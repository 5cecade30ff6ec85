"""Port: what users want to be told, and how; and the rules that a preference must meet."""

from collections.abc import Iterable, Sequence
from typing import Protocol

from broker.errors import BadInput
from broker.notification import ROUTES, Preference

__all__ = ["ANY", "Preferences", "check_preferences", "is_enabled"]

ANY = "*"


class Preferences(Protocol):
    """A user's words, one per (category, route)."""

    async def of_user(self, user: str) -> Sequence[Preference]:
        """List a user's preferences by category and route."""

    async def set(self, user: str, preferences: Sequence[Preference]) -> None:
        """Replace the named (category, route) pairs, all or none; others stay."""


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
    """Judge whether a route is open for a category: the most exact preference decides, the category before the route.

    Without any word on it a route is open.
    """
    words = {(word.category, word.route): word.enabled for word in preferences}
    for key in ((category, route), (category, ANY), (ANY, route), (ANY, ANY)):
        if key in words:
            return words[key]
    return True
