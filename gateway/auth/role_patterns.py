"""Permissions of roles as they are written, and the patterns in them: read, and held against what can ever fit.

`subscribe,history docs:{user}/*`: actions, then one pattern of what they are done to. `*` stands for any run of characters,
`{user}` for the id of whoever asks, so that a part of the names belongs to each user; nothing else has a meaning.
"""

from collections.abc import Collection
from typing import Final

import msgspec

from broker.channels import ChannelRules, UnknownNamespace
from broker.errors import BadInput
from gateway.auth.capabilities import Right
from gateway.auth.patterns import PATTERN_MAX_CHARS, BadPattern, Wildcard

__all__ = [
    "CHANNEL_ACTIONS",
    "OTHER_ACTIONS",
    "USER",
    "Permission",
    "check_channel_pattern",
    "check_name",
    "check_names",
    "read_permission",
]

USER: Final = "{user}"

CHANNEL_ACTIONS: Final = {"subscribe": Right.SUB, "publish": Right.PUB, "presence": Right.PRS, "history": Right.HST}
# RPC methods of clients, methods of the server API, and what operators do on their page.
OTHER_ACTIONS: Final = ("rpc", "call", "admin")


class Permission(msgspec.Struct, frozen=True):
    """What may be done to what."""

    actions: frozenset[str]
    pattern: str

    @property
    def rights(self) -> Right:
        """The actions in channels, as rights."""
        rights = Right(0)
        for action in self.actions:
            rights |= CHANNEL_ACTIONS.get(action, Right(0))
        return rights


def read_permission(text: str, field: str, rules: ChannelRules | None = None) -> Permission:
    """Read a permission.

    Args:
        field: How it is called where it breaks a rule.
        rules: Tell which namespaces there are; without them every one counts as known.
    Raises:
        BadInput: Naming the field and the rule.
    """
    written, _, pattern = text.strip().partition(" ")
    actions, pattern = frozenset(written.split(",")), pattern.strip()
    known = (*CHANNEL_ACTIONS, *OTHER_ACTIONS)
    if not actions <= frozenset(known):
        raise BadInput(field, f"must begin with actions, separated by commas without blanks: {', '.join(known)}")
    if len({action in CHANNEL_ACTIONS for action in actions}) > 1 or len(actions - CHANNEL_ACTIONS.keys()) > 1:
        raise BadInput(field, f"must name actions in channels, or one of {', '.join(OTHER_ACTIONS)}, but not both")
    if actions <= CHANNEL_ACTIONS.keys():
        check_channel_pattern(pattern, field, rules)
    else:
        _check_pattern(pattern, field, may_own=False)
    return Permission(actions, pattern)


def check_channel_pattern(pattern: str, field: str, rules: ChannelRules | None = None, *, may_own: bool = True) -> Wildcard:
    """Hold a pattern of channels against the rules.

    Args:
        rules: Tell which namespaces there are; a pattern of channels in another one would fit none that can be used.
        may_own: Whether it may have a place for the user.
    Raises:
        BadInput: Naming the field and the rule.
    """
    wildcard = _check_pattern(pattern, field, may_own=may_own)
    begin, star, _ = pattern.partition("*")
    if rules is not None and (not star or ":" in begin):
        try:
            rules.options(begin)
        except UnknownNamespace as exc:
            raise BadInput(field, f"can fit no channel: {exc}") from None
    return wildcard


def check_names(patterns: Collection[str], field: str, known: Collection[str], kind: str) -> None:
    """Insist that each pattern of names fits one of those that are known.

    Raises:
        BadInput: Naming the field and the rule.
    """
    for number, pattern in enumerate(patterns):
        check_name(pattern, f"{field}[{number}]", known, kind)


def check_name(pattern: str, field: str, known: Collection[str], kind: str) -> None:
    """Insist that a pattern of names fits one of those that are known.

    Raises:
        BadInput: Naming the field and the rule.
    """
    wildcard = _check_pattern(pattern, field, may_own=False)
    if not any(map(wildcard.matches, known)):
        raise BadInput(field, f"fits no {kind} that there is")


def _check_pattern(pattern: str, field: str, *, may_own: bool) -> Wildcard:
    if not pattern:
        raise BadInput(field, "must name what it is about, by a name or a pattern with *")
    if not pattern.isprintable() or " " in pattern:
        raise BadInput(field, "must hold no blanks and no control characters")
    literal = pattern.replace(USER, "") if may_own else pattern
    if "{" in literal or "}" in literal:
        raise BadInput(field, "must have no braces" + (f" other than those of {USER}" if may_own else " here"))
    try:
        return Wildcard(pattern)
    except BadPattern:
        raise BadInput(field, f"must be at most {PATTERN_MAX_CHARS} characters") from None
