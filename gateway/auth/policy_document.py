"""A policy as it is written, in JSON over the API or in a TOML file, and how it is held against the rules, all at once.

timezone = "Europe/Berlin"

[networks]
office = ["198.51.100.0/24"]

[[rules]]
name = "no-writing-at-night"
effect = "deny"
actions = ["publish"]
channels = ["docs:*"]
condition = 'time.clock < "06:00" && !("admin" in roles)'
"""

import ipaddress
import re
import tomllib
from collections.abc import Collection, Sequence
from typing import Final, Literal
from zoneinfo import ZoneInfo

import msgspec

from broker.errors import BadInput
from gateway.auth.conditions import BadCondition, Condition, Language
from gateway.auth.patterns import Wildcard
from gateway.auth.role_patterns import CHANNEL_ACTIONS, check_channel_pattern, check_names

__all__ = [
    "ACTIONS",
    "BadPolicy",
    "Network",
    "PolicyForm",
    "ReadPolicy",
    "ReadRule",
    "RuleForm",
    "check",
    "decode",
    "wildcards_of",
]

ACTIONS: Final = ("connect", *CHANNEL_ACTIONS, "rpc", "call")
RULES_MAX: Final = 1000
_NETWORKS_MAX: Final = 64
_PATTERNS_MAX: Final = 64
_PROBLEMS_MAX: Final = 20
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class BadPolicy(ValueError):
    """A policy breaks rules: one line for each, with the place."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = tuple(problems)


class RuleForm(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A rule: what it is about, and on which condition it denies or allows that."""

    name: str
    effect: Literal["deny", "allow"]
    actions: tuple[str, ...]
    channels: tuple[str, ...] = ()
    methods: tuple[str, ...] = ()
    condition: str = "true"
    timezone: str = ""


class PolicyForm(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A whole policy."""

    rules: tuple[RuleForm, ...] = ()
    timezone: str = "UTC"
    networks: dict[str, tuple[str, ...]] = {}


class ReadRule(msgspec.Struct, frozen=True):
    """A rule that passed; `zone` is None where its condition does not ask for the time."""

    name: str
    denies: bool
    actions: tuple[str, ...]
    channels: tuple[str, ...]
    methods: tuple[str, ...]
    condition: Condition
    zone: ZoneInfo | None


class ReadPolicy(msgspec.Struct, frozen=True):
    """A policy that passed, its rules in the order of their names."""

    rules: tuple[ReadRule, ...]
    networks: dict[str, tuple[Network, ...]]
    language: Language


def decode(text: bytes, *, is_toml: bool = False) -> PolicyForm:
    """Read a document; an empty one has no rules.

    Raises:
        BadPolicy: It cannot be read.
    """
    if not text.strip():
        return PolicyForm()
    try:
        return msgspec.convert(tomllib.loads(text.decode()), PolicyForm) if is_toml else _decode(text)
    except msgspec.ValidationError as exc:
        rule, _, path = str(exc).partition(" - at `$")
        where = path.rstrip("`").removeprefix(".")
        raise BadPolicy([f"{where or 'policy'}: {rule[:1].lower()}{rule[1:]}"]) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, msgspec.DecodeError, RecursionError) as exc:
        raise BadPolicy([f"policy: cannot be read: {exc}"]) from None


_decode = msgspec.json.Decoder(PolicyForm).decode


def check(form: PolicyForm, claims: Collection[str], methods: Collection[str] = ()) -> ReadPolicy:
    """Hold a policy against the rules.

    Args:
        claims: Those that the settings keep.
        methods: Those of the API; where there are any, patterns for `call` must fit one of them.
    Raises:
        BadPolicy: With a line for each problem, up to twenty.
    """
    problems: list[str] = []
    networks = _networks(form, problems)
    zone = _zone(form.timezone, "timezone", problems)
    language = Language(claims, networks)
    if len(form.rules) > RULES_MAX:
        raise BadPolicy([f"rules: must be at most {RULES_MAX}"])
    names: set[str] = set()
    rules = []
    for number, rule in enumerate(form.rules):
        where = f"rules[{number}]"
        if not _NAME.fullmatch(rule.name):
            problems.append(f"{where}.name: must be 1 to 64 letters, digits and _.- and begin with a letter or digit")
        elif rule.name in names:
            problems.append(f"{where}.name: is that of another rule, too: {rule.name}")
        names.add(rule.name)
        _check_reach(rule, where, methods, problems)
        own_zone = _zone(rule.timezone, f"{where}.timezone", problems) if rule.timezone else zone
        try:
            condition = language.read(rule.condition)
        except BadCondition as exc:
            problems.append(f"{where}.condition: {exc}")
            continue
        actions = ACTIONS if "*" in rule.actions else tuple(dict.fromkeys(rule.actions))
        zone_asked = own_zone if condition.asks_time else None
        rules.append(ReadRule(rule.name, rule.effect == "deny", actions, rule.channels, rule.methods, condition, zone_asked))
    if problems:
        raise BadPolicy(problems[:_PROBLEMS_MAX])
    return ReadPolicy(tuple(sorted(rules, key=lambda rule: rule.name)), networks, language)


def _check_reach(rule: RuleForm, where: str, methods: Collection[str], problems: list[str]) -> None:
    """Check what a rule is about."""
    unknown = [action for action in rule.actions if action not in ACTIONS and action != "*"]
    if not rule.actions or unknown:
        problems.append(f"{where}.actions: must be of {', '.join(ACTIONS)}, or * for all")
        return
    actions = set(ACTIONS if "*" in rule.actions else rule.actions)
    # A pattern narrows what it is about; where an action has no such thing, it would narrow to nothing without a word.
    if rule.channels and not actions <= {*CHANNEL_ACTIONS, "call"}:
        problems.append(f"{where}.channels: must only be given for {', '.join(CHANNEL_ACTIONS)} and call")
    if rule.methods and not actions <= {"rpc", "call"}:
        problems.append(f"{where}.methods: must only be given for rpc and call")
    for field, patterns in (("channels", rule.channels), ("methods", rule.methods)):
        if len(patterns) > _PATTERNS_MAX:
            problems.append(f"{where}.{field}: must be at most {_PATTERNS_MAX}")
    try:
        for number, pattern in enumerate(rule.channels):
            check_channel_pattern(pattern, f"{where}.channels[{number}]", may_own=False)
        known = methods if actions == {"call"} and methods else rule.methods
        check_names(rule.methods, f"{where}.methods", [*known], "method")
    except BadInput as exc:
        problems.append(str(exc))


def _networks(form: PolicyForm, problems: list[str]) -> dict[str, tuple[Network, ...]]:
    if len(form.networks) > _NETWORKS_MAX:
        raise BadPolicy([f"networks: must be at most {_NETWORKS_MAX}"])
    networks = {}
    for name, written in form.networks.items():
        if not _NAME.fullmatch(name):
            problems.append("networks: names must be 1 to 64 letters, digits and _.-")
            continue
        read = []
        for number, text in enumerate(written):
            try:
                read.append(ipaddress.ip_network(text))
            except ValueError:
                problems.append(f'networks.{name}[{number}]: must be a network such as "198.51.100.0/24" or "2001:db8::/32"')
        networks[name] = tuple(read)
    return networks


def _zone(name: str, where: str, problems: list[str]) -> ZoneInfo | None:
    try:
        return ZoneInfo(name)
    except (KeyError, OSError, ValueError):
        problems.append(f'{where}: must be a zone such as "Europe/Berlin" or "UTC"')
        return None


def wildcards_of(patterns: Sequence[str]) -> tuple[Wildcard, ...]:
    """Make patterns that were checked."""
    return tuple(Wildcard(pattern) for pattern in patterns)
