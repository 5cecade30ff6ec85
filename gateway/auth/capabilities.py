"""Capabilities: rights in channels that a connection brings along, beside those that the settings give to everybody.

They come from whom we believe about the connection anyway: the claim `caps` of its token, or the field `caps` of the backend's
answer. A capability only ever adds; of several that fit a channel all count, in whatever order they stand. A refresh says
anew which there are, and what it does not repeat is over.

Two kinds of channels are closed to whoever speaks of channels in general:

* Private ones (`$…`) are there so that each is signed for by itself. `sub` counts for none of them, which leaves the
  subscription token as the only way in; other rights count where the channel is named, or by a pattern that itself begins
  with the prefix: as with hidden files, `*` passes over them.
* Those that belong to others: the channel lists its users (where the namespace honours such lists) and this is none of them, or
  it is somebody else's personal channel. `sub` does not count, nor does any pattern; a right that names the channel does, for
  example that of a service to publish on the personal channel of one user.

Where the application's backend decides about a channel's subscriptions or publications, it decides alone: its answer may carry
data, and is newer than a token. That takes nothing away, since the other flags count for nothing there either.
"""

from collections.abc import Mapping, Sequence
from enum import IntFlag
from functools import lru_cache
from typing import Final, Literal

import msgspec

from gateway.auth.patterns import BadPattern, Regex, Wildcard

__all__ = [
    "NO_RIGHTS",
    "BadCapability",
    "Capabilities",
    "Right",
    "WrittenCapability",
    "matcher_of",
    "read_allow",
    "read_capabilities",
]

CAPABILITIES_MAX: Final = 64
NAMES_MAX: Final = 512
PATTERNS_MAX: Final = 64
# Names of channels are longer only where somebody plays with them.
CHANNEL_MAX_CHARS: Final = 1024

_PRIVATE: Final = "$"


class Right(IntFlag):
    """What may be done in a channel; written `sub`, `pub`, `prs`, `hst`."""

    SUB = 1
    PUB = 2
    PRS = 4
    HST = 8


NO_RIGHTS: Final = Right(0)
_RIGHTS_BY_NAME: Final[Mapping[str, Right]] = {right.name.lower(): right for right in Right if right.name}


class BadCapability(ValueError):
    """A capability breaks a rule, which the text names; no value is quoted."""


class WrittenCapability(msgspec.Struct, frozen=True):
    """A capability as tokens and backends write it; an explicit null counts as absent."""

    channels: list[str] | None = None
    match: str | None = None
    allow: list[str] | None = None


class _Matcher(msgspec.Struct, frozen=True):
    pattern: Regex | Wildcard
    rights: Right
    names_private: bool


class Capabilities(msgspec.Struct, frozen=True):
    """All capabilities of a connection: rights by the name of a channel, and by patterns."""

    rights_by_channel: Mapping[str, Right]
    matchers: tuple[_Matcher, ...] = ()

    def rights(self, channel: str, *, is_foreign: bool = False) -> Right:
        """Tell the rights in a channel.

        Args:
            is_foreign: The channel belongs to other users.
        """
        rights = self.rights_by_channel.get(channel, NO_RIGHTS)
        is_private = channel.startswith(_PRIVATE)
        if not is_foreign and len(channel) <= CHANNEL_MAX_CHARS:
            for matcher in self.matchers:
                if (matcher.names_private or not is_private) and matcher.pattern.matches(channel):
                    rights |= matcher.rights
        return rights & ~Right.SUB if is_private or is_foreign else rights

    def with_more(self, other: "Capabilities | None") -> "Capabilities":
        """Give these and others together."""
        if other is None:
            return self
        by_channel = dict(self.rights_by_channel)
        for channel, rights in other.rights_by_channel.items():
            by_channel[channel] = by_channel.get(channel, NO_RIGHTS) | rights
        return Capabilities(by_channel, self.matchers + other.matchers)


def matcher_of(wildcard: Wildcard, rights: Right, pattern: str) -> _Matcher:
    """Make what gives rights by a pattern; private channels are meant only where its text begins with their prefix."""
    return _Matcher(wildcard, rights, names_private=pattern.startswith(_PRIVATE))


def read_capabilities(written: Sequence[WrittenCapability | None] | None) -> Capabilities | None:
    """Read a list of capabilities; None where it gives no right at all.

    Raises:
        BadCapability: One breaks a rule, or there are too many.
    """
    given = [capability for capability in written or () if capability is not None]
    if len(given) > CAPABILITIES_MAX:
        raise BadCapability(f"caps must be at most {CAPABILITIES_MAX}")
    by_channel: dict[str, Right] = {}
    matchers: list[_Matcher] = []
    for capability in given:
        rights = read_allow(capability.allow)
        match capability.match or "":
            case "":
                for channel in capability.channels or ():
                    by_channel[channel] = by_channel.get(channel, NO_RIGHTS) | rights
            case "wildcard" | "regex" as kind:
                matchers += [_matcher(kind, pattern, rights) for pattern in capability.channels or ()]
            case _:
                raise BadCapability('caps.match must be "", "wildcard" or "regex"')
        if len(by_channel) > NAMES_MAX or len(matchers) > PATTERNS_MAX:
            raise BadCapability(f"caps must name at most {NAMES_MAX} channels and {PATTERNS_MAX} patterns")
    return Capabilities(by_channel, tuple(matchers)) if by_channel or matchers else None


def read_allow(written: Sequence[str] | None) -> Right:
    """Read a list of rights.

    Raises:
        BadCapability: A word stands for none.
    """
    rights = NO_RIGHTS
    for name in written or ():
        if name not in _RIGHTS_BY_NAME:
            raise BadCapability("allow must hold only sub, pub, prs and hst")
        rights |= _RIGHTS_BY_NAME[name]
    return rights


@lru_cache(maxsize=1024)
def _matcher(kind: Literal["wildcard", "regex"], pattern: str, rights: Right) -> _Matcher:
    """Make what finds channels; most connections bring the same patterns, and share it."""
    try:
        if kind == "wildcard":
            return _Matcher(Wildcard(pattern), rights, names_private=pattern.startswith(_PRIVATE))
        regex = Regex(pattern)
        return _Matcher(regex, rights, names_private=regex.begins_with(_PRIVATE))
    except BadPattern as exc:
        raise BadCapability(f"caps.channels: {exc}") from None
