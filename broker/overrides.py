"""Port: what operators have said otherwise for a while: a lane or a carrier is left alone, only what is critical is taken, …

An override is known by its kind and target, so that setting it again replaces it. Each has a reason and an end: what somebody
set in the night shall not hold for ever because nobody remembers it. `KINDS` is the one table of what there is; the page for
operators is held against it.
"""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Final, Protocol

import msgspec

from broker.errors import BadInput
from broker.notification import Lane, Provider

__all__ = [
    "KINDS",
    "MAX_OVERRIDES",
    "REASON_MAX",
    "InForce",
    "Kind",
    "KindRule",
    "Override",
    "OverrideDraft",
    "Overrides",
    "Target",
    "Value",
    "check_what",
]

MAX_OVERRIDES: Final = 200
REASON_MAX: Final = 500
TEXT_MAX: Final = 500
_NAME_MAX: Final = 128
# However long it will last: whoever is refused asks again after so many seconds at most, since it may be taken back before.
_LONGEST_RETRY_S: Final = 60.0

Value = str | int | float | None


class Kind(StrEnum):
    """What can be said."""

    PAUSE_LANE = "pause_lane"
    PAUSE_CARRIER = "pause_carrier"
    ONLY_CRITICAL = "only_critical"
    MAINTENANCE = "maintenance"
    REFUSE_CONNECTIONS = "refuse_connections"
    CONNECTION_LIMIT = "connection_limit"
    COMMAND_RATE = "command_rate"
    CARRIER_RATE = "carrier_rate"


class Target(StrEnum):
    """What a kind is about."""

    NOTHING = "nothing"
    LANE = "a lane"
    CARRIER = "a provider, or one of its apps as `provider:app`"
    NODE = "a node by its name or uid; none means all"


class Number(msgspec.Struct, frozen=True):
    """A value that is a number within bounds, both included."""

    least: float
    most: float
    is_whole: bool = False

    def __str__(self) -> str:
        return f"{'a whole number' if self.is_whole else 'a number'} from {self.least:.10g} to {self.most:.10g}"


class Text(msgspec.Struct, frozen=True):
    """A value that is one line of text."""

    longest: int = TEXT_MAX

    def __str__(self) -> str:
        return f"1 to {self.longest} characters on one line"


class KindRule(msgspec.Struct, frozen=True):
    """What a kind takes; `value` None for none."""

    target: Target
    value: Number | Text | None = None


KINDS: Final[Mapping[Kind, KindRule]] = {
    Kind.PAUSE_LANE: KindRule(Target.LANE),
    Kind.PAUSE_CARRIER: KindRule(Target.CARRIER),
    Kind.ONLY_CRITICAL: KindRule(Target.NOTHING),
    Kind.MAINTENANCE: KindRule(Target.NOTHING, Text()),
    Kind.REFUSE_CONNECTIONS: KindRule(Target.NODE),
    Kind.CONNECTION_LIMIT: KindRule(Target.NODE, Number(1, 10_000_000, is_whole=True)),
    Kind.COMMAND_RATE: KindRule(Target.NODE, Number(0.1, 1_000_000)),
    Kind.CARRIER_RATE: KindRule(Target.CARRIER, Number(0.01, 1_000_000)),
}

_CARRIER: Final = re.compile(r"([a-z]+)(?::[^\s\x00-\x1f]{1,64})?")


class OverrideDraft(msgspec.Struct, frozen=True):
    """An override that is to be set."""

    kind: Kind
    target: str
    value: Value
    reason: str
    expires_at: datetime


class Override(msgspec.Struct, frozen=True):
    """An override; `set_by` names who set it, never a whole key."""

    kind: Kind
    target: str
    value: Value
    reason: str
    set_at: datetime
    expires_at: datetime
    set_by: str = ""


class Overrides(Protocol):
    """The overrides as they are kept. All methods raise `StoreUnavailable`; changes tell the subject's new version."""

    async def set(self, draft: OverrideDraft) -> tuple[Override, int]:
        """Keep it in place of what was said of the same kind and target.

        Raises:
            BadInput: Naming `kind`, when there are `MAX_OVERRIDES` already.
        """

    async def remove(self, kind: Kind, target: str) -> int:
        """Take it back.

        Raises:
            NotFound: There is none that has not ended.
        """

    async def all(self) -> Sequence[Override]:
        """List those that have not ended, by kind and target."""

    async def end_past(self) -> int:
        """Forget those whose end has come, and have each end written down in the audit by the system, in one transaction.

        Whoever forgets one writes it down: of several processes that do so at the same time, each end is written by one.

        Returns:
            How many there were.
        """


class InForce(msgspec.Struct, frozen=True):
    """The overrides that hold at a moment, sorted by what they mean; those that ask often copy what they need.

    Attributes:
        lanes: Lanes that nothing is claimed of.
        carriers: Names of carriers that are left alone; a provider's means all its apps.
        is_only_critical: Whether other notifications are neither taken nor worked on.
        maintenance: A line for whoever is refused; empty for none.
        rates: Calls per second, by the carrier's name.
    """

    overrides: tuple[Override, ...] = ()
    lanes: frozenset[Lane] = frozenset()
    carriers: frozenset[str] = frozenset()
    is_only_critical: bool = False
    maintenance: str = ""
    rates: Mapping[str, float] = {}

    @classmethod
    def of(cls, overrides: Iterable[Override]) -> "InForce":
        """Sort them."""
        every = tuple(overrides)
        is_only_critical = any(one.kind is Kind.ONLY_CRITICAL for one in every)
        lanes = {Lane[one.target.upper()] for one in every if one.kind is Kind.PAUSE_LANE}
        return cls(
            every,
            frozenset(lanes | ({lane for lane in Lane if lane is not Lane.CRITICAL} if is_only_critical else set())),
            frozenset(one.target for one in every if one.kind is Kind.PAUSE_CARRIER),
            is_only_critical,
            next((str(one.value) for one in every if one.kind is Kind.MAINTENANCE), ""),
            {one.target: float(one.value or 0.0) for one in every if one.kind is Kind.CARRIER_RATE},
        )

    def leaves_alone(self, carrier: str) -> bool:
        """Whether a carrier is paused, by itself or with its provider."""
        return carrier in self.carriers or carrier.partition(":")[0] in self.carriers

    def at_node(self, kind: Kind, *names: str) -> Override | None:
        """Find what is said of a node by one of its names; else what is said of all."""
        found = {one.target: one for one in self.overrides if one.kind is kind}
        return next((found[name] for name in (*names, "") if name in found), None)

    def retry_after_s(self, kind: Kind, now: datetime) -> int:
        """Tell when whoever is refused because of a kind should ask again, in whole seconds."""
        left_s = [(one.expires_at - now).total_seconds() for one in self.overrides if one.kind is kind]
        return math.ceil(min(_LONGEST_RETRY_S, max(1.0, *left_s, 1.0)))


def check_what(kind: str, target: str, value: Value) -> tuple[Kind, Value]:
    """Hold kind, target and value against the table.

    Raises:
        BadInput: Naming the field and the rule.
    """
    if kind not in tuple(Kind):
        raise BadInput("kind", f"must be one of {', '.join(Kind)}")
    known = Kind(kind)
    rule = KINDS[known]
    _check_target(rule.target, target)
    if rule.value is None:
        if value is not None:
            raise BadInput("value", f"must not be given: {known} has none")
        return known, None
    fits = _fits_text(rule.value, value) if isinstance(rule.value, Text) else _fits_number(rule.value, value)
    if not fits:
        raise BadInput("value", f"must be {rule.value}")
    return known, int(value) if isinstance(value, float) and isinstance(rule.value, Number) and rule.value.is_whole else value


def _check_target(wanted: Target, target: str) -> None:
    match wanted:
        case Target.NOTHING if target:
            raise BadInput("target", "must not be given: this kind is about everything")
        case Target.LANE if target.upper() not in Lane.__members__ or target != target.lower():
            raise BadInput("target", f"must be one of {', '.join(lane.name.lower() for lane in Lane)}")
        case Target.CARRIER if not (found := _CARRIER.fullmatch(target)) or found[1] not in tuple(Provider):
            raise BadInput("target", f"must be one of {', '.join(Provider)}, or one of their apps as provider:app")
        case Target.NODE if target and not _is_line(target, _NAME_MAX):
            raise BadInput("target", f"must be a node's name or uid, of at most {_NAME_MAX} characters, or none for all")


def _fits_text(rule: Text, value: Value) -> bool:
    return isinstance(value, str) and _is_line(value, rule.longest)


def _fits_number(rule: Number, value: Value) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return False
    return rule.least <= value <= rule.most and (not rule.is_whole or value == int(value))


def _is_line(text: str, longest: int) -> bool:
    return 1 <= len(text) <= longest and text.isprintable() and not text.isspace()
