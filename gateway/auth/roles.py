"""Roles: which there are, who has them, and what that comes to.

Roles stand in the settings or in the store; users have them by a claim of their token or by the store. In channels a role is
nothing but a bundle of capabilities (`capabilities.py`), with all their limits: it only ever adds, and what is closed to
patterns there is closed to those of roles. So a decision about a channel costs nothing more with roles than without: a client
holds one set of capabilities, of which some came from its roles.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import msgspec
from cachetools import LRUCache

from broker.errors import BadInput
from broker.roles import Role
from gateway.auth.capabilities import Capabilities, Right, matcher_of
from gateway.auth.decision import Decision
from gateway.auth.patterns import Wildcard
from gateway.auth.role_patterns import CHANNEL_ACTIONS, USER, Permission, read_permission

__all__ = ["NO_ROLES", "RoleBook", "Standing"]

NO_ROLES: Final[tuple[str, ...]] = ()
_REMEMBERED_MAX: Final = 4096


class Standing(msgspec.Struct, frozen=True):
    """What a connection brought along, beside its user.

    Attributes:
        claimed: Roles by its token.
        brought: Capabilities of its own.
        claims: Those claims of the token that the settings keep for policies.
    """

    claimed: tuple[str, ...] = NO_ROLES
    brought: Capabilities | None = None
    claims: Mapping[str, object] = {}


class _Compiled(msgspec.Struct, frozen=True):
    """A role as it is asked: patterns by action, and whether some of them depend on the user."""

    permissions: tuple[Permission, ...]
    names_by_action: Mapping[str, tuple[Wildcard, ...]]
    owns: bool
    has_channels: bool


class RoleBook:
    """The roles in force. Replaced as a whole; whoever asks gets the old ones or the new ones, never a mixture.

    Args:
        fixed: Roles of the settings, which the store cannot change.
    Raises:
        BadInput: One of them breaks a rule.
    """

    def __init__(self, fixed: Iterable[Role] = ()) -> None:
        self.settings_roles = tuple(fixed)
        self._fixed = {role.name: _compile(role) for role in self.settings_roles}
        self._compiled: Mapping[str, _Compiled] = self._fixed
        self._assigned: Mapping[str, tuple[str, ...]] = {}
        self._capabilities: LRUCache[tuple[tuple[str, ...], str], Capabilities | None] = LRUCache(_REMEMBERED_MAX)

    @property
    def is_empty(self) -> bool:
        """Whether there are no roles, and nobody has any by the store."""
        return not self._compiled and not self._assigned

    @property
    def fixed(self) -> frozenset[str]:
        """Names of the roles that the settings have."""
        return frozenset(self._fixed)

    def __contains__(self, name: str) -> bool:
        return name in self._compiled

    def replace(self, stored: Sequence[Role], assigned: Mapping[str, tuple[str, ...]]) -> None:
        """Take what the store has. A role that this version cannot read gives nothing, and keeps no other from counting."""
        compiled = {}
        for role in stored:
            try:
                compiled[role.name] = _compile(role)
            except BadInput:
                compiled[role.name] = _compile(Role(role.name, ()))
        self._compiled, self._assigned = {**compiled, **self._fixed}, assigned
        self._capabilities.clear()

    def roles_of(self, user: str, claimed: tuple[str, ...] = NO_ROLES) -> tuple[str, ...]:
        """Tell the roles of a user, those that its token claims and those that the store says; also such as nobody defined."""
        assigned = self._assigned.get(user, NO_ROLES) if user else NO_ROLES
        if not assigned or not claimed:
            return claimed or assigned
        return (*claimed, *(role for role in assigned if role not in claimed))

    def capabilities(self, user: str, standing: Standing) -> Capabilities | None:
        """Tell what somebody may do in channels, by roles and by what was brought along; None for nothing."""
        granted = self._granted(user, self.roles_of(user, standing.claimed))
        return granted if standing.brought is None else standing.brought.with_more(granted)

    def role_with_right(self, right: Right, channel: str, user: str, roles: Iterable[str], *, is_foreign: bool) -> str | None:
        """Name the first role that gives a right in a channel; None where none does."""
        for role in roles:
            granted = self._granted(user, (role,))
            if granted is not None and right in granted.rights(channel, is_foreign=is_foreign):
                return role
        return None

    def decide(self, action: str, name: str, roles: Iterable[str]) -> Decision | None:
        """Decide about an RPC method, a method of the API or what an operator does; None where no role allows it."""
        for role in roles:
            compiled = self._compiled.get(role)
            if compiled and any(pattern.matches(name) for pattern in compiled.names_by_action.get(action, ())):
                return Decision(True, f"role:{role}")
        return None

    def _granted(self, user: str, roles: tuple[str, ...]) -> Capabilities | None:
        known = tuple(role for role in roles if (one := self._compiled.get(role)) is not None and one.has_channels)
        if not known:
            return None
        key = (known, user if any(self._compiled[role].owns for role in known) else "")
        found = self._capabilities.get(key)
        if found is None:
            permissions = [one for role in known for one in self._compiled[role].permissions]
            found = self._capabilities[key] = _capabilities(permissions, user)
        return found


def _compile(role: Role) -> _Compiled:
    permissions = tuple(read_permission(text, f"permissions[{number}]") for number, text in enumerate(role.permissions))
    names: dict[str, tuple[Wildcard, ...]] = {}
    for permission in permissions:
        for action in permission.actions - CHANNEL_ACTIONS.keys():
            names[action] = (*names.get(action, ()), Wildcard(permission.pattern))
    in_channels = tuple(permission for permission in permissions if permission.rights)
    owns = any(USER in permission.pattern for permission in in_channels)
    return _Compiled(in_channels, names, owns, bool(in_channels))


def _capabilities(permissions: Iterable[Permission], user: str) -> Capabilities:
    by_channel: dict[str, Right] = {}
    matchers = []
    for permission in permissions:
        pattern, rights = permission.pattern, permission.rights
        if USER in pattern and not user:
            continue  # nothing belongs to nobody
        if "*" in pattern or USER in pattern:
            # Whatever the user is called: what is made of an id names no channel as somebody does who writes it down.
            matchers.append(matcher_of(Wildcard.filled(pattern, USER, user), rights, pattern))
        else:
            by_channel[pattern] = by_channel.get(pattern, Right(0)) | rights
    return Capabilities(by_channel, tuple(matchers))
