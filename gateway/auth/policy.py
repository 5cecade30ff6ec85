"""A policy in force: rules that were read once, and how they come to a decision.

Denying wins over allowing, and the order of rules means nothing. A rule whose condition fails, because a claim is absent or of
another kind, *counts against* whoever asks: a rule that denies then denies, one that allows does not allow.

Rules are put together by action and by the patterns and the zone that they share. A decision looks at those groups alone whose
patterns fit, and asks their rules together, as one expression that tells which of them decides. Only where one of them fails
they are asked one by one.
"""

import ipaddress
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from operator import attrgetter
from typing import Any, Final

import msgspec
from cachetools import LRUCache

from gateway.auth.conditions import BadCondition, Language
from gateway.auth.decision import Decision
from gateway.auth.patterns import Wildcard
from gateway.auth.policy_document import ACTIONS, Network, ReadPolicy, ReadRule, wildcards_of

__all__ = ["Facts", "Policy"]

_PRIVATE: Final = "$"
_ADDRESSES_MAX: Final = 4096
# So many rules are asked as one; most policies are one such bundle per action and pattern.
_TOGETHER: Final = 64
_WEEKDAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
# Where the facts hold what conditions ask for.
_FIELDS: Final[Mapping[str, str]] = {
    **{name: name for name in ("user", "roles", "claims", "key", "action", "channel", "method")},
    **{f"connection.{name}": name for name in ("address", "networks", "transport", "origin")},
}
_LISTS: Final = frozenset({"roles", "connection.networks"})


class Facts(msgspec.Struct, frozen=True):
    """What a policy is asked about: who wants to do what, and from where."""

    action: str
    channel: str = ""
    method: str = ""
    user: str = ""
    key: str = ""
    roles: tuple[str, ...] = ()
    claims: Mapping[str, Any] = {}
    address: str = ""
    networks: tuple[str, ...] = ()
    transport: str = ""
    origin: str = ""


class _Bundle(msgspec.Struct, frozen=True):
    """Rules that are asked together.

    Attributes:
        runs: Tells of each run of rules which one of them is so first, counted from 1 over all, 0 where none is.
        any_of: Is true as soon as one of them is, whichever fails beside it; None where failing counts as being so.
    """

    runs: Any
    any_of: Any
    each: tuple[tuple[Decision, Any], ...]

    def ask(self, activation: Any, *, when_failing: bool) -> Decision | None:
        """Tell what the first one by name that is so decides; None where none is.

        Args:
            when_failing: What counts where a rule cannot be answered.
        """
        if len(self.each) == 1:
            decision, program = self.each[0]
            return decision if _is_so(program, activation, when_failing=when_failing) else None
        if activation is None:
            return self.each[0][0] if when_failing else None
        told = _value(self.runs, activation, plain=True)
        if isinstance(told, list):
            number = next(filter(None, told), 0)
            return self.each[number - 1][0] if number else None
        return self._ask_each(activation, when_failing=when_failing)

    def _ask_each(self, activation: Any, *, when_failing: bool) -> Decision | None:
        """Do the same where one fails."""
        if not when_failing and not _is_so(self.any_of, activation, when_failing=False):
            return None
        for decision, program in self.each:
            if _is_so(program, activation, when_failing=when_failing):
                return decision
        return self.each[0][0] if when_failing else None  # they failed together, for what that cost, and none alone


class _Asked(msgspec.Struct, frozen=True, eq=False):
    """What some rules ask for: nothing else is handed over. Groups that ask for the same things share one, by identity.

    Attributes:
        names: Of attributes, without the time.
        take: Gives what facts hold of these, in their order.
        lists: Those that are lists.
        zone: That of the time; None where nobody asks for it.
    """

    names: tuple[str, ...]
    take: Callable[[Facts], tuple[Any, ...]]
    lists: tuple[str, ...]
    zone: Any

    def values(self, facts: Facts, now: datetime) -> dict[str, Any]:
        """Give the values of the attributes."""
        values = dict(zip(self.names, self.take(facts), strict=True))
        for name in self.lists:
            values[name] = list(values[name])  # CEL knows no tuples
        if self.zone is not None:
            values.update(_time(now.astimezone(self.zone)))
        return values


class _Group(msgspec.Struct, frozen=True):
    """Rules of one action that share patterns and zone."""

    channels: tuple[Wildcard, ...]
    # Which of these an allowing rule means where a channel is private: those that say so.
    private: tuple[Wildcard, ...]
    methods: tuple[Wildcard, ...]
    asked: _Asked
    denying: tuple[_Bundle, ...]
    allowing: tuple[_Bundle, ...]

    @property
    def asks_time(self) -> bool:
        """Whether what it decides changes without anybody doing anything."""
        return self.asked.zone is not None

    def fits(self, channel: str, method: str) -> bool:
        """Whether the group is about this at all."""
        return (not self.channels or _fits_one(self.channels, channel)) and (
            not self.methods or _fits_one(self.methods, method)
        )

    def may_allow(self, channel: str) -> bool:
        """Whether it means a channel also where it allows: `*` passes over private ones, as with capabilities."""
        return not channel.startswith(_PRIVATE) or any(pattern.matches(channel) for pattern in self.private)


class _Shelf(msgspec.Struct, frozen=True):
    """The groups of one action: those for whatever channel, and those whose patterns begin with a namespace (`docs:`)."""

    groups: tuple[_Group, ...]
    by_namespace: Mapping[str, tuple[_Group, ...]]


class Policy:
    """Made once from a document that was checked; decides without waiting and never raises."""

    def __init__(self, read: ReadPolicy, version: int) -> None:
        self.version, self.rules, self.networks = version, read.rules, read.networks
        self._language = read.language
        self._networks_by_address: LRUCache[str, tuple[str, ...]] = LRUCache(_ADDRESSES_MAX)
        self._shelves = {action: _shelve(_group(read.rules, action, read.language)) for action in ACTIONS}

    def __len__(self) -> int:
        return len(self.rules)

    def concerning(self, action: str, channel: str, method: str) -> Sequence[_Group]:
        """Pick the groups of rules that an action is a matter of."""
        shelf = self._shelves[action]
        found = shelf.groups
        if shelf.by_namespace:
            found = (*found, *shelf.by_namespace.get(channel[: channel.find(":") + 1], ()))
        return [group for group in found if group.fits(channel, method)] if found else ()

    def asks_time_about(self, action: str) -> bool:
        """Whether what is decided about an action may change without anybody doing anything."""
        shelf = self._shelves[action]
        apart = (group for groups in shelf.by_namespace.values() for group in groups)
        return any(group.asks_time for group in (*shelf.groups, *apart))

    def decide(self, base: Decision, facts: Facts, now: datetime, groups: Sequence[_Group] | None = None) -> Decision:
        """Decide.

        Args:
            base: What holds where no rule has anything to say.
            now: For rules that ask for the time.
            groups: As `concerning` picks them.
        """
        if groups is None:
            groups = self.concerning(facts.action, facts.channel, facts.method)
        activations = _Activations(self._language, facts, now)
        for group in groups:
            if group.denying and (found := _ask(group.denying, activations.of(group.asked), when_failing=True)) is not None:
                return found
        if base.allowed:
            return base
        for group in groups:
            if not group.allowing or not group.may_allow(facts.channel):
                continue
            if (found := _ask(group.allowing, activations.of(group.asked), when_failing=False)) is not None:
                return found
        return base

    def networks_of(self, address: str) -> tuple[str, ...]:
        """Name the declared networks that an address lies in."""
        if not self.networks:
            return ()
        found = self._networks_by_address.get(address)
        if found is None:
            parsed = _parse(address)
            lies_in = [] if parsed is None else [name for name, some in self.networks.items() if _lies_in(parsed, some)]
            found = self._networks_by_address[address] = tuple(lies_in)
        return found


class _Activations:
    """What programs are handed, made when first asked for: groups that ask for the same things share one."""

    def __init__(self, language: Language, facts: Facts, now: datetime) -> None:
        self._language, self._facts, self._now = language, facts, now
        self._made: dict[int, Any] = {}

    def of(self, asked: _Asked) -> Any:
        """Give the one for this; None where a text of the facts is none, so that nothing can be asked."""
        key = id(asked)
        if key not in self._made:
            try:
                self._made[key] = self._language.activation(asked.values(self._facts, self._now))
            except (RuntimeError, TypeError, UnicodeError):
                self._made[key] = None
        return self._made[key]


def _fits_one(patterns: Sequence[Wildcard], name: str) -> bool:
    for pattern in patterns:  # noqa: SIM110 (a generator costs twice as much, and every decision passes here)
        if pattern.matches(name):
            return True
    return False


def _time(moment: datetime) -> dict[str, Any]:
    return {
        "time.clock": f"{moment.hour:02}:{moment.minute:02}",
        "time.weekday": _WEEKDAYS[moment.weekday()],
        "time.date": moment.date().isoformat(),
        "time.hour": moment.hour,
    }


def _ask(bundles: Sequence[_Bundle], activation: Any, *, when_failing: bool) -> Decision | None:
    """Ask rules; gives what the first one by name decides, None where none does."""
    for bundle in bundles:
        if (found := bundle.ask(activation, when_failing=when_failing)) is not None:
            return found
    return None


def _is_so(program: Any, activation: Any, *, when_failing: bool) -> bool:
    value = None if activation is None else _value(program, activation)
    return value if isinstance(value, bool) else when_failing


def _value(program: Any, activation: Any, *, plain: bool = False) -> Any:
    """Give what a program comes to; something else than it should be where it fails."""
    try:
        answer = program.eval(activation)
        return answer.plain_value() if plain else answer.value()
    except RuntimeError:
        return None


def _group(rules: Sequence[ReadRule], action: str, language: Language) -> tuple[_Group, ...]:
    sorted_out: dict[tuple[Any, ...], list[ReadRule]] = {}
    for rule in rules:
        if action in rule.actions:
            sorted_out.setdefault((tuple(sorted(rule.channels)), tuple(sorted(rule.methods)), rule.zone), []).append(rule)
    shared: dict[tuple[tuple[str, ...], Any], _Asked] = {}
    return tuple(
        _Group(
            wildcards_of(channels),
            wildcards_of([pattern for pattern in channels if pattern.startswith(_PRIVATE)]),
            wildcards_of(methods),
            shared.setdefault((names := _names(members), zone), _Asked(names, *_taking(names), zone)),
            _bundle([rule for rule in members if rule.denies], language),
            _bundle([rule for rule in members if not rule.denies], language),
        )
        for (channels, methods, zone), members in sorted_out.items()
    )


def _names(rules: Sequence[ReadRule]) -> tuple[str, ...]:
    asked = frozenset().union(*(rule.condition.attributes for rule in rules))
    return tuple(name for name in _FIELDS if name in asked)


def _taking(names: Sequence[str]) -> tuple[Callable[[Facts], tuple[Any, ...]], tuple[str, ...]]:
    """Tell how attributes are taken from facts, and which are lists."""
    fields = [_FIELDS[name] for name in names]
    lists = tuple(name for name in names if name in _LISTS)
    if len(fields) > 1:
        return attrgetter(*fields), lists  # one call in C; for a single field it would give no tuple
    return lambda facts: tuple(getattr(facts, field) for field in fields), lists


def _shelve(groups: Sequence[_Group]) -> _Shelf:
    """Lay groups that are about channels of some namespaces apart, so that others need not be held against them."""
    shared: list[_Group] = []
    apart: dict[str, list[_Group]] = {}
    for group in groups:
        beginnings = {pattern.begin.partition(":")[:2] for pattern in group.channels}
        if group.channels and all(colon for _, colon in beginnings):
            for name, colon in beginnings:
                apart.setdefault(name + colon, []).append(group)
        else:
            shared.append(group)
    return _Shelf(tuple(shared), {name: tuple(some) for name, some in apart.items()})


def _bundle(rules: Sequence[ReadRule], language: Language, together: int = _TOGETHER) -> tuple[_Bundle, ...]:
    """Put rules together, in the order of their names."""
    bundles: list[_Bundle] = []
    for begin in range(0, len(rules), together):
        part = rules[begin : begin + together]
        conditions, each = [rule.condition for rule in part], tuple(map(_decides, part))
        if len(part) == 1:
            bundles.append(_Bundle(None, None, each))
            continue
        try:
            any_of = None if part[0].denies else language.any_of(conditions)
            bundles.append(_Bundle(language.first_of_runs(conditions), any_of, each))
        except BadCondition:  # too deep together; fewer are less so, and each for itself was not
            bundles += _bundle(part, language, (len(part) + 1) // 2)
    return tuple(bundles)


def _decides(rule: ReadRule) -> tuple[Decision, Any]:
    return Decision(not rule.denies, f"policy:{rule.name}"), rule.condition.program


def _lies_in(address: Any, networks: Sequence[Network]) -> bool:
    return any(address.version == network.version and address in network for network in networks)


def _parse(address: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """Read an address; one of IPv4 that is written in IPv6 is that of IPv4, and None what is no address."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return None
    mapped = parsed.ipv4_mapped if isinstance(parsed, ipaddress.IPv6Address) else None
    return mapped or parsed
