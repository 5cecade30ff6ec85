"""Conditions of policies: what is refused, with its place and reason, and what passes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.clock import ManualClock
from gateway.auth.conditions import TEXT_MAX, BadCondition, Language
from gateway.auth.decision import Decision
from gateway.auth.policy import Facts, Policy
from gateway.auth.policy_document import PolicyForm, RuleForm, check

_YES, _NOW = Decision(True, "default"), ManualClock().now()
LANGUAGE = Language(["dept", "level", "groups"], ["office"])


@pytest.mark.parametrize(
    ("text", "line", "column", "reason"),
    [
        ("user ==", 1, 8, "Syntax error"),
        ("user == 'a", 1, 9, "Syntax error"),
        ("", 1, 1, "Syntax error"),
        ('user == "a" &&\n  usr == "b"', 2, 3, "undeclared reference to 'usr'"),
        ('"é😀" == usr', 1, 9, "undeclared reference to 'usr'"),
        ("connection.adress == ''", 1, 11, "undeclared reference to 'connection.adress'"),
        ("connection == ''", 1, 1, "undeclared reference to 'connection'"),
        ("user == 1", 1, 6, "found no matching overload"),
        ("time.hour > 'a'", 1, 11, "found no matching overload"),
        ("user", 1, 1, "must be true or false, and is string"),
        ("claims.dept", 1, 1, "must be true or false, and is dyn"),
        ("1 + 1", 1, 1, "must be true or false, and is int"),
        ("claims.foo == 1", 1, 7, "unknown claim foo"),
        ("has(claims.foo)", 1, 4, "unknown claim foo"),
        ('claims["foo"] == 1', 1, 7, "unknown claim foo"),
        ("claims[user] == 1", 1, 7, "claims must be followed by the name of one"),
        ("size(claims) > 1", 1, 5, "claims must be followed by the name of one"),
        ('"dept" in claims', 1, 11, "claims must be followed by the name of one"),
        ("claims == claims", 1, 8, "claims must be followed by the name of one"),
        ("claims.exists(c, c == 'dept')", 1, 14, "a macro must go over roles"),
        ("user.matches('(a+)+')", 1, 13, "matches is not allowed"),
        ("roles.map(r, r) == []", 1, 10, "map and filter are not allowed"),
        ("roles.filter(r, r == 'a') == []", 1, 13, "map and filter are not allowed"),
        ("roles.all(a, roles.all(b, a == b))", 1, 10, "a macro within a macro"),
        ("roles.exists(a, [1].exists(b, b == 1))", 1, 13, "a macro within a macro"),
        ("(roles + roles).exists(r, r == 'a')", 1, 23, "a macro must go over roles"),
        ("timestamp('2026-01-01T00:00:00Z') == timestamp('x')", 1, 10, "timestamp is not allowed"),
        ("type(user) == string", 1, 5, "type is not allowed"),
        ("user.split('') == []", 1, 11, "undeclared reference to 'split'"),
        ('{"a": 1} == {"a": 2}', 1, 1, "maps cannot be made"),
        ('"home" in connection.networks', 1, 8, "unknown network home"),
        ("(" * 40 + "true" + ")" * 40, 1, 1, "is nested too deeply"),
        ("true && " * 250 + "true", 1, 1, "must be made of at most 400 parts"),
        ("x" * (TEXT_MAX + 1), 1, 1, f"must be at most {TEXT_MAX} characters"),
        ("user == '\ud800'", 1, 1, "is no text"),
    ],
)
def test_what_cannot_be_used_is_refused_with_its_place(text, line, column, reason):
    with pytest.raises(BadCondition) as refused:
        LANGUAGE.read(text)
    assert (refused.value.line, refused.value.reason[: len(reason)]) == (line, reason)
    assert abs(refused.value.column - column) <= (12 if "maps" in reason or "usr" in reason else 0)


@pytest.mark.parametrize(
    ("text", "asks_time"),
    [
        ("true", False),
        ('user == "42" // whoever', False),
        ('claims.dept == "eng" && claims.level >= 3', False),
        ("has(claims.dept) && !has(claims.level)", False),
        ('claims["dept"] == "eng"', False),
        ('claims.groups.exists(g, g == "a")', False),
        ('roles.exists_one(r, r.startsWith("a"))', False),
        ('"office" in connection.networks', False),
        ("[1, 2].all(x, x > 0)", False),
        ('size(user) > 2 ? channel == "docs:" + user : false', False),
        ('time.clock >= "22:00" || time.weekday in ["sat", "sun"]', True),
        ("time.hour < 6", True),
        ('time.date == "2026-12-24"', True),
    ],
)
def test_what_passes(text, asks_time):
    assert LANGUAGE.read(text).asks_time is asks_time


@given(st.text(st.sampled_from("user roles claims.dept()[]{}'\"&|!=<>+.,?:\\\n\0é😀"), max_size=40))
def test_whatever_is_written_is_read_or_refused(text):
    try:
        LANGUAGE.read(text)
    except BadCondition as refused:
        assert refused.line >= 1 and refused.column >= 1


def test_a_condition_cannot_break_out_of_those_that_it_is_asked_with():
    for text in ("true) || (true", "false) //", "false /*", "'"):
        with pytest.raises(BadCondition):
            LANGUAGE.read(text)
    rules = tuple(RuleForm(f"r{number}", "deny", ("publish",), condition="false // )") for number in range(3))
    policy = Policy(check(PolicyForm(rules), ()), 1)
    assert policy.decide(_YES, Facts("publish", "a"), _NOW) is _YES
