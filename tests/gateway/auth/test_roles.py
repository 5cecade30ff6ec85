"""Roles: how permissions are read, and what having them comes to."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.channels import ChannelRules
from broker.errors import BadInput
from broker.roles import Role
from config.settings import ChannelSettings, PersonalChannelSettings
from gateway.auth.capabilities import Right, WrittenCapability, read_capabilities
from gateway.auth.decision import Decision
from gateway.auth.role_patterns import check_channel_pattern, check_names, read_permission
from gateway.auth.roles import RoleBook, Standing

RULES = ChannelRules(ChannelSettings.model_validate({"namespaces": [{"name": "docs"}]}), PersonalChannelSettings())
ALL = Right.SUB | Right.PUB | Right.PRS | Right.HST


def book(**permissions: str) -> RoleBook:
    """Make roles, each with permissions separated by semicolons."""
    return RoleBook(Role(name, tuple(text.split("; "))) for name, text in permissions.items())


def rights(roles: RoleBook, channel: str, *claimed: str, user: str = "ann", is_foreign: bool = False) -> Right:
    capabilities = roles.capabilities(user, Standing(claimed))
    return Right(0) if capabilities is None else capabilities.rights(channel, is_foreign=is_foreign)


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("", "must begin with actions"),
        ("docs:*", "must begin with actions"),
        ("subscribe, publish docs:*", "must begin with actions"),
        ("delete docs:*", "must begin with actions"),
        ("subscribe,rpc x", "must name actions in channels, or one of"),
        ("rpc,call x", "must name actions in channels, or one of"),
        ("subscribe", "must name what it is about"),
        ("subscribe  ", "must name what it is about"),
        ("subscribe a b", "must hold no blanks"),
        ("subscribe a\0", "must hold no blanks and no control characters"),
        ("subscribe docs:{channel}", "must have no braces other than those of {user}"),
        ("call {user}", "must have no braces here"),
        ("subscribe " + "x" * 257, "must be at most 256 characters"),
        ("subscribe unknown:*", "can fit no channel: namespace 'unknown' is not configured"),
        ("subscribe unknown:a", "can fit no channel"),
    ],
)
def test_what_breaks_a_rule_is_refused_by_name(text, rule):
    with pytest.raises(BadInput) as refused:
        read_permission(text, "permissions[0]", RULES)
    assert refused.value.field == "permissions[0]"
    assert refused.value.rule.startswith(rule)


@pytest.mark.parametrize("pattern", ["docs:*", "*", "d*", "docs:a", "plain", "#ann", "$docs:*", "docs:{user}/*", "*:{user}"])
def test_patterns_that_can_fit_are_taken(pattern):
    check_channel_pattern(pattern, "channels[0]", RULES)


def test_names_must_be_known():
    check_names(["publish", "device_*", "*"], "methods", ["publish", "device_list"], "method")
    with pytest.raises(BadInput, match=r"^methods\[1\]: fits no method that there is$"):
        check_names(["publish", "notfy"], "methods", ["publish", "notify"], "method")


@pytest.mark.parametrize(
    ("channel", "expected"),
    [("docs:a", Right.SUB | Right.PUB), ("docs:", Right.SUB | Right.PUB), ("news", Right.HST), ("new", 0), ("$docs:a", 0)],
)
def test_a_role_gives_what_its_permissions_say(channel, expected):
    assert rights(book(editor="subscribe,publish docs:*; history news"), channel, "editor") == expected


def test_roles_add_up_and_unknown_ones_give_nothing():
    roles = book(reader="subscribe docs:*", writer="publish docs:*")
    assert rights(roles, "docs:a", "reader", "writer", "nobody-defined-it") == Right.SUB | Right.PUB
    assert rights(roles, "docs:a", "nobody-defined-it") == 0
    assert roles.capabilities("ann", Standing(("nobody-defined-it",))) is None


@pytest.mark.parametrize(
    ("user", "channel", "fits"),
    [
        ("ann", "docs:ann/plan", True),
        ("ann", "docs:bob/plan", False),
        ("ann", "docs:anna/plan", False),
        ("*", "docs:bob/plan", False),
        ("*", "docs:*/plan", True),
        ("", "docs:/plan", False),
        ("{user}", "docs:ann/plan", False),
    ],
)
def test_a_part_of_the_names_belongs_to_each_user(user, channel, fits):
    roles = book(owner="subscribe,publish docs:{user}/*")
    assert rights(roles, channel, "owner", user=user) == (Right.SUB | Right.PUB if fits else 0)


def test_what_is_made_of_a_user_names_no_channel_of_others():
    roles = book(owner="publish {user}; publish #bob")
    assert rights(roles, "#bob", "owner", user="#bob", is_foreign=True) == Right.PUB  # by the second, which names it
    assert rights(book(owner="publish {user}"), "#bob", "owner", user="#bob", is_foreign=True) == 0
    assert rights(book(owner="publish {user}"), "$x", "owner", user="$x") == 0


def test_private_channels_are_meant_by_patterns_that_say_so():
    roles = book(one="subscribe,publish *", two="subscribe,publish $docs:*")
    assert rights(roles, "$docs:a", "one") == 0
    assert rights(roles, "$docs:a", "two") == Right.PUB  # a subscription token stays the only way in


def test_roles_of_the_store_and_of_claims_count_together():
    roles = book(reader="subscribe docs:*")
    roles.replace([Role("writer", ("publish docs:*",))], {"ann": ("writer", "reader")})
    assert roles.roles_of("ann", ("reader", "x")) == ("reader", "x", "writer")
    assert roles.roles_of("") == ()
    assert rights(roles, "docs:a") == Right.SUB | Right.PUB
    assert rights(roles, "docs:a", user="bob") == 0


def test_the_settings_win_over_the_store():
    roles = book(reader="subscribe docs:*")
    roles.replace([Role("reader", ("publish docs:*",))], {})
    assert rights(roles, "docs:a", "reader") == Right.SUB
    assert roles.fixed == {"reader"}


def test_a_role_of_the_store_that_cannot_be_read_gives_nothing():
    roles = RoleBook()
    roles.replace([Role("bad", ("fly docs:*",)), Role("good", ("publish docs:*",))], {})
    assert rights(roles, "docs:a", "bad") == 0
    assert rights(roles, "docs:a", "good") == Right.PUB


def test_what_was_brought_along_counts_beside_roles():
    brought = read_capabilities([WrittenCapability(["docs:b"], None, ["hst"]), WrittenCapability(["n*"], "wildcard", ["pub"])])
    capabilities = book(reader="subscribe docs:*").capabilities("ann", Standing(("reader",), brought))
    assert capabilities is not None
    assert capabilities.rights("docs:b") == Right.SUB | Right.HST
    assert capabilities.rights("news") == Right.PUB


def test_other_actions_are_decided_by_name():
    roles = book(support="call device_*; admin read", robot="rpc billing.*")
    assert roles.decide("call", "device_list", ["support"]) == Decision(True, "role:support")
    assert roles.decide("rpc", "billing.pay", ["x", "robot"]) == Decision(True, "role:robot")
    for action, name in (("call", "publish"), ("rpc", "device_list"), ("admin", "write"), ("call", "read")):
        assert roles.decide(action, name, ["support"]) is None


def test_which_role_gave_a_right_is_told():
    roles = book(reader="subscribe docs:*", writer="publish docs:*")
    has = ("reader", "writer")
    assert roles.role_with_right(Right.PUB, "docs:a", "ann", has, is_foreign=False) == "writer"
    assert roles.role_with_right(Right.HST, "docs:a", "ann", has, is_foreign=False) is None


PERMISSIONS = st.sampled_from(
    ["subscribe *", "publish docs:*", "history docs:a", "presence d*", "publish,history docs:{user}/*"]
)
ROLES = st.dictionaries(st.sampled_from("abcd"), st.lists(PERMISSIONS, max_size=3).map(tuple), max_size=4)
CHANNELS = st.sampled_from(["docs:a", "docs:ann/x", "docs:bob/x", "news", "$docs:a", "d"])


@given(ROLES, st.lists(st.sampled_from("abcd"), max_size=4, unique=True), CHANNELS, st.booleans())
def test_taking_a_role_away_never_grants(roles, has, channel, is_foreign):
    whole = RoleBook(Role(name, permissions) for name, permissions in roles.items())
    before = rights(whole, channel, *has, is_foreign=is_foreign)
    for gone in has:
        rest = [role for role in has if role != gone]
        assert rights(whole, channel, *rest, is_foreign=is_foreign) | before == before
        less = RoleBook(Role(name, permissions) for name, permissions in roles.items() if name != gone)
        assert rights(less, channel, *has, is_foreign=is_foreign) | before == before
    assert rights(whole, channel, *reversed(has), is_foreign=is_foreign) == before
