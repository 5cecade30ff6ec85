"""What a token says of its user besides who it is: the roles, and the claims that policies may ask for."""

import sys
from collections.abc import Iterable, Mapping
from typing import Any, Final

from gateway.auth.errors import InvalidToken

__all__ = ["kept_of", "roles_of"]

_ROLES_MAX: Final = 64
_CHARS_MAX: Final = 64


def roles_of(members: Mapping[str, Any], claim: str) -> tuple[str, ...]:
    """Read the claim that lists roles: texts in a list, or a single text; none where it is absent.

    Args:
        claim: Its name; with dots where it lies in other claims; "" where no roles are believed.
    Raises:
        InvalidToken: It has another form. Passing over what cannot be read might pass over a role that is refused something.
    """
    if not claim:
        return ()
    value = members[claim] if claim in members else _within(members, claim.split("."))
    if value is None:
        return ()
    listed = [value] if isinstance(value, str) else value
    is_list = isinstance(listed, list) and len(listed) <= _ROLES_MAX
    if not is_list or not all(isinstance(role, str) and 0 < len(role) <= _CHARS_MAX and role.isprintable() for role in listed):
        raise InvalidToken(f"the claim {claim} must list at most {_ROLES_MAX} roles of 1 to {_CHARS_MAX} characters")
    # The same few texts come with every token.
    return tuple(dict.fromkeys(sys.intern(role) for role in listed))


def kept_of(members: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
    """Pick the claims that are kept, as far as the token has them."""
    return {name: members[name] for name in names if name in members}


def _within(members: Mapping[str, Any], path: list[str]) -> Any:
    value: Any = members
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value
