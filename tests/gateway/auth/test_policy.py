"""Policies: tables of decisions, and what holds whatever the rules are."""

from datetime import UTC, datetime

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gateway.auth.decision import Decision
from gateway.auth.policy import Facts, Policy
from gateway.auth.policy_document import ACTIONS, BadPolicy, PolicyForm, RuleForm, check, decode

YES, NO = Decision(True, "default"), Decision(False, "default")
NOON = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)  # a Wednesday
CLAIMS = ("dept", "level", "groups")


def made(*rules, claims=CLAIMS, **more):
    return Policy(check(PolicyForm(tuple(rules), **more), claims), 1)


def deny(condition="true", name="deny", actions=("publish",), **more):
    return RuleForm(name, "deny", actions, condition=condition, **more)


def allow(condition="true", name="allow", actions=("publish",), **more):
    return RuleForm(name, "allow", actions, condition=condition, **more)


ANN = Facts(
    "publish",
    "docs:plan",
    user="ann",
    roles=("editor",),
    claims={"dept": "eng", "level": 3, "groups": ["a", "b"]},
    address="198.51.100.7",
    transport="websocket",
    origin="https://app.example",
)


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        ('user == "ann"', True),
        ('user == "bob"', False),
        ('"editor" in roles', True),
        ('"admin" in roles', False),
        ('roles.exists(r, r.startsWith("ed"))', True),
        ('claims.dept == "eng" && claims.level >= 3', True),
        ("claims.level > 3", False),
        ("claims.level > 2.5", True),
        ('claims.groups.exists(g, g == "b")', True),
        ("has(claims.dept)", True),
        ('action == "publish" && channel == "docs:plan"', True),
        ('method == "" && key == ""', True),
        ('channel.startsWith("docs:") && channel.endsWith("plan") && channel.contains("s:p")', True),
        ('connection.address == "198.51.100.7"', True),
        ('"office" in connection.networks', True),
        ('"home" in connection.networks', False),
        ('connection.transport == "websocket" && connection.origin == "https://app.example"', True),
        ('time.clock == "12:00" && time.weekday == "wed" && time.date == "2026-11-25" && time.hour == 12', True),
    ],
)
def test_what_conditions_see(condition, holds):
    networks = {"office": ("198.51.100.0/24", "2001:db8::/32"), "home": ("203.0.113.0/24",)}
    policy = made(deny(condition), networks=networks)
    facts = msgspec.structs.replace(ANN, networks=policy.networks_of(ANN.address))
    assert policy.decide(YES, facts, NOON) == (Decision(False, "policy:deny") if holds else YES)
    policy = made(allow(condition), networks=networks)
    assert policy.decide(NO, facts, NOON) == (Decision(True, "policy:allow") if holds else NO)


@pytest.mark.parametrize(
    ("base", "rules", "expected"),
    [
        (YES, [], YES),
        (NO, [], NO),
        (YES, [deny()], Decision(False, "policy:deny")),
        (NO, [allow()], Decision(True, "policy:allow")),
        (NO, [allow(), deny()], Decision(False, "policy:deny")),
        (YES, [allow(), deny()], Decision(False, "policy:deny")),
        (YES, [allow()], YES),
        (YES, [deny(actions=("subscribe",))], YES),
        (YES, [deny(actions=("*",))], Decision(False, "policy:deny")),
        (YES, [deny(channels=("docs:*",))], Decision(False, "policy:deny")),
        (YES, [deny(channels=("news:*", "docs:plan"))], Decision(False, "policy:deny")),
        (YES, [deny(channels=("news:*",))], YES),
        (YES, [deny(name="b"), deny(name="a")], Decision(False, "policy:a")),
    ],
)
def test_denying_wins_then_allowing_then_what_was(base, rules, expected):
    assert made(*rules).decide(base, ANN, NOON) == expected


@pytest.mark.parametrize(
    ("condition", "claims"),
    [
        ('claims.dept == "eng"', {}),
        ("claims.level > 3", {"level": "high"}),
        ("claims.level > 3", {"level": 2**70}),
        ("claims.level > 3", {"level": None}),
        ("claims.dept && true", {"dept": 7}),
        ("claims.groups.exists(g, g == 1)", {"groups": "a"}),
        ('claims.dept == "eng"', {"dept": "\ud800"}),
        ("1 / int(claims.level) == 1", {"level": 0}),
    ],
)
def test_a_condition_that_fails_counts_against_whoever_asks(condition, claims):
    facts = msgspec.structs.replace(ANN, claims=claims)
    assert made(deny(condition)).decide(YES, facts, NOON) == Decision(False, "policy:deny")
    assert made(allow(condition)).decide(NO, facts, NOON) == NO
    # Beside others too, in whatever order they are asked.
    assert made(deny(condition), deny("false", "a"), deny("false", "z")).decide(YES, facts, NOON).rule == "policy:deny"
    if "\ud800" not in claims.values():
        others = (allow(condition), allow("false", "a"), allow('user == "ann"', "z"))
        assert made(*others).decide(NO, facts, NOON) == Decision(True, "policy:z")


HOLDS, HOLDS_NOT, FAILS = 'user == "ann"', 'user == "bob"', "claims.absent == 1"


@given(st.lists(st.sampled_from((HOLDS, HOLDS_NOT, HOLDS_NOT, HOLDS_NOT, FAILS)), max_size=140), st.booleans())
@example([HOLDS_NOT] * 49 + [HOLDS], True)
@example([HOLDS_NOT] * 70 + [FAILS] + [HOLDS_NOT] * 3 + [HOLDS], False)
@settings(max_examples=30, deadline=None)
def test_the_first_rule_by_name_that_is_so_decides_wherever_it_stands(conditions, denies):
    make, base = (deny, YES) if denies else (allow, NO)
    policy = made(*(make(one, f"r{n:03}") for n, one in enumerate(conditions)), claims=(*CLAIMS, "absent"))
    counts = (HOLDS, FAILS) if denies else (HOLDS,)
    first = next((n for n, one in enumerate(conditions) if one in counts), None)
    expected = base if first is None else Decision(not denies, f"policy:r{first:03}")
    assert policy.decide(base, ANN, NOON) == expected


def test_deeply_nested_conditions_are_asked_apart():
    deep = "(" * 5 + "true && !" * 1 + "(" * 8 + 'user == "bob"' + ")" * 13
    ternary = "user == 'x' ? true : " * 24 + "false"
    rules = [deny(deep, "a"), *(deny(ternary, f"b{n:02}") for n in range(30)), deny(HOLDS, "c")]
    assert made(*rules[1:]).decide(YES, ANN, NOON) == Decision(False, "policy:c")
    assert made(*rules).decide(YES, ANN, NOON) == Decision(False, "policy:a")


def test_what_together_costs_too_much_denies():
    rules = [deny(f"claims.groups.exists(g, g == {number})", f"r{number:02}") for number in range(30)]
    facts = msgspec.structs.replace(ANN, claims={"groups": list(range(100, 3000))})
    assert made(*rules).decide(YES, facts, NOON).allowed is False
    allowing = [allow(rule.condition, rule.name) for rule in rules]
    assert made(*allowing).decide(NO, facts, NOON) == NO


@pytest.mark.parametrize(
    ("zone", "utc", "holds"),
    [
        ("Europe/Berlin", datetime(2026, 1, 5, 20, 59, tzinfo=UTC), False),
        ("Europe/Berlin", datetime(2026, 1, 5, 21, 0, tzinfo=UTC), True),
        ("Europe/Berlin", datetime(2026, 7, 6, 20, 0, tzinfo=UTC), True),
        ("America/New_York", datetime(2026, 7, 7, 1, 59, tzinfo=UTC), False),
        ("UTC", datetime(2026, 7, 7, 22, 0, tzinfo=UTC), True),
    ],
)
def test_times_are_those_of_a_zone(zone, utc, holds):
    condition = 'time.clock >= "22:00"'
    assert made(deny(condition), timezone=zone).decide(YES, ANN, utc).allowed is not holds
    assert made(deny(condition, timezone=zone), timezone="Asia/Tokyo").decide(YES, ANN, utc).allowed is not holds


def test_private_channels_are_allowed_by_patterns_that_say_so_and_denied_by_all():
    facts = msgspec.structs.replace(ANN, channel="$docs:plan")
    for channels, is_allowed in (((), False), (("*",), False), (("$docs:*",), True)):
        assert made(allow(channels=channels)).decide(NO, facts, NOON).allowed is is_allowed
    assert made(deny(channels=("*",))).decide(YES, facts, NOON).allowed is False


def test_methods_narrow_rpc_and_calls():
    policy = made(
        deny(name="rpc", actions=("rpc",), methods=("billing.*",)),
        deny(name="call", actions=("call",), methods=("device_*",), channels=("docs:*",)),
    )
    for action, method, channel, is_allowed in (
        ("rpc", "billing.pay", "", False),
        ("rpc", "other", "", True),
        ("call", "device_list", "docs:a", False),
        ("call", "device_list", "news:a", True),
        ("call", "publish", "docs:a", True),
    ):
        assert policy.decide(YES, Facts(action, channel, method), NOON).allowed is is_allowed


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("198.51.100.7", ("office",)),
        ("198.51.101.7", ()),
        ("2001:db8::1", ("office",)),
        ("::ffff:198.51.100.7", ("office",)),
        ("fe80::1%eth0", ()),
        ("", ()),
        ("no address", ()),
    ],
)
def test_networks_of_addresses(address, expected):
    assert made(networks={"office": ("198.51.100.0/24", "2001:db8::/32")}).networks_of(address) == expected


@pytest.mark.parametrize(
    ("document", "problem"),
    [
        ("[]", "policy: expected `object`, got `array`"),
        ("{", "policy: cannot be read"),
        ('{"rule": []}', "policy: object contains unknown field `rule`"),
        ('{"rules": [{"name": "a"}]}', "rules[0]: object missing required field `effect`"),
        ('{"rules": [{"name": "a", "effect": "maybe", "actions": ["publish"]}]}', "rules[0].effect: invalid enum value"),
        ('{"rules": [{"name": "", "effect": "deny", "actions": ["publish"]}]}', "rules[0].name: must be 1 to 64"),
        ('{"rules": [{"name": "a", "effect": "deny", "actions": []}]}', "rules[0].actions: must be of connect"),
        ('{"rules": [{"name": "a", "effect": "deny", "actions": ["fly"]}]}', "rules[0].actions: must be of connect"),
        (
            '{"rules": [{"name": "a", "effect": "deny", "actions": ["connect"], "channels": ["docs:*"]}]}',
            "rules[0].channels: must only be given for",
        ),
        (
            '{"rules": [{"name": "a", "effect": "deny", "actions": ["publish"], "methods": ["x"]}]}',
            "rules[0].methods: must only be given for rpc and call",
        ),
        (
            '{"rules": [{"name": "a", "effect": "deny", "actions": ["call"], "methods": ["notfy"]}]}',
            "rules[0].methods[0]: fits no method",
        ),
        (
            '{"rules": [{"name": "a", "effect": "deny", "actions": ["publish"], "channels": ["{user}"]}]}',
            "rules[0].channels[0]: must have no braces",
        ),
        ('{"timezone": "Mars/Base"}', "timezone: must be a zone"),
        ('{"timezone": "../../etc/passwd"}', "timezone: must be a zone"),
        ('{"networks": {"a": ["198.51.100.7/24"]}}', "networks.a[0]: must be a network"),
        ('{"networks": {"a": ["office"]}}', "networks.a[0]: must be a network"),
        ('{"networks": {"a b": []}}', "networks: names must be 1 to 64"),
        (
            '{"rules": [{"name": "a", "effect": "deny", "actions": ["publish"], "condition": "usr == 1"}]}',
            "rules[0].condition: line 1, column 1: undeclared reference to 'usr'",
        ),
    ],
)
def test_what_breaks_a_rule_is_refused_with_its_place(document, problem):
    with pytest.raises(BadPolicy) as refused:
        check(decode(document.encode()), CLAIMS, ["publish", "notify"])
    assert refused.value.problems[0].startswith(problem)


def test_every_problem_is_told_at_once():
    with pytest.raises(BadPolicy) as refused:
        check(PolicyForm((deny("a"), deny("b"), deny("true", "x", timezone="Mars/Base")), timezone="Moon"), ())
    assert [line.partition(":")[0] for line in refused.value.problems] == [
        "timezone",
        "rules[0].condition",
        "rules[1].name",
        "rules[1].condition",
        "rules[2].timezone",
    ]


def test_a_document_without_rules_is_none():
    for text in (b"", b" ", b"{}", b'{"rules":[]}'):
        assert len(Policy(check(decode(text), ()), 1)) == 0


CONDITIONS = st.sampled_from(
    ["true", "false", 'user == "ann"', '"editor" in roles', "claims.level > 2", "claims.absent == 1", "time.hour < 12"]
)
RULES = st.lists(
    st.builds(
        lambda number, denies, actions, channels, condition, zone: RuleForm(
            f"r{number}", "deny" if denies else "allow", actions, channels, (), condition, zone
        ),
        st.integers(0, 999),
        st.booleans(),
        st.sampled_from([("publish",), ("subscribe", "publish"), ("history",)]),
        st.sampled_from([(), ("docs:*",), ("news:*", "docs:plan"), ("$*",)]),
        CONDITIONS,
        st.sampled_from(["", "Europe/Berlin"]),
    ),
    max_size=6,
    unique_by=lambda rule: rule.name,
)
FACTS = st.builds(
    lambda action, channel, user, roles, claims: Facts(action, channel, user=user, roles=roles, claims=claims),
    st.sampled_from(["publish", "subscribe", "history"]),
    st.sampled_from(["docs:plan", "docs:x", "news:a", "$docs:a", "other"]),
    st.sampled_from(["ann", "bob", ""]),
    st.sampled_from([(), ("editor",)]),
    st.sampled_from([{}, {"level": 3}, {"level": "x"}]),
)
BASES = st.sampled_from([YES, NO])


def decided(rules, base, facts):
    return made(*rules, claims=(*CLAIMS, "absent")).decide(base, facts, NOON)


@given(RULES, RULES, BASES, FACTS)
def test_adding_a_rule_that_denies_never_grants(rules, more, base, facts):
    denying = [msgspec.structs.replace(rule, name=f"x{rule.name}", effect="deny") for rule in more]
    assert decided([*rules, *denying], base, facts).allowed <= decided(rules, base, facts).allowed


@given(RULES, BASES, FACTS)
def test_taking_a_rule_that_allows_away_never_grants(rules, base, facts):
    before = decided(rules, base, facts).allowed
    for gone in rules:
        if gone.effect == "allow":
            assert decided([rule for rule in rules if rule is not gone], base, facts).allowed <= before


@given(RULES, BASES, FACTS, st.randoms())
def test_the_order_of_rules_means_nothing(rules, base, facts, chance):
    expected = decided(rules, base, facts)
    shuffled = list(rules)
    chance.shuffle(shuffled)
    assert decided(shuffled, base, facts) == expected


@given(RULES, BASES, FACTS)
def test_it_is_as_if_each_rule_were_asked_alone(rules, base, facts):
    alone = {rule.name: decided([rule], NO if rule.effect == "allow" else YES, facts) for rule in rules}
    denied = sorted(f"policy:{rule.name}" for rule in rules if rule.effect == "deny" and not alone[rule.name].allowed)
    granted = sorted(f"policy:{rule.name}" for rule in rules if rule.effect == "allow" and alone[rule.name].allowed)
    found = decided(rules, base, facts)
    assert found.allowed is (not denied and (base.allowed or bool(granted)))
    assert found.rule in (denied or [base.rule] if not found.allowed or base.allowed else granted)


def test_all_actions_can_be_asked_about():
    policy = made(deny(actions=("*",)))
    assert [policy.decide(YES, Facts(action), NOON).allowed for action in ACTIONS] == [False] * len(ACTIONS)
