"""Capabilities: how they are read, which channels they reach, and that they only ever add."""

from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.channels import ChannelRules
from config.settings import ChannelOptions, ChannelSettings, PersonalChannelSettings
from gateway.auth.capabilities import (
    NO_RIGHTS,
    BadCapability,
    Capabilities,
    Right,
    WrittenCapability,
    read_allow,
    read_capabilities,
)
from gateway.auth.grants import grant
from gateway.auth.permissions import Permissions
from gateway.protocol.messages import SubscribeRequest
from gateway.session.subscription import Source

ALL = ["sub", "pub", "prs", "hst"]
EVERYTHING = Right.SUB | Right.PUB | Right.PRS | Right.HST
RULES = ChannelRules(ChannelSettings(), PersonalChannelSettings())
ASKS = SubscribeRequest(positioned=True, recoverable=True, join_leave=True)


def one(*channels, match="", allow=ALL):
    return WrittenCapability(list(channels), match, allow)


def rights(*written, channel, is_foreign=False):
    capabilities = read_capabilities(written)
    return capabilities.rights(channel, is_foreign=is_foreign) if capabilities else NO_RIGHTS


def test_a_name_is_exact():
    assert rights(one("news"), channel="news") == EVERYTHING
    for other in ("new", "news2", "News", "x:news", ""):
        assert rights(one("news"), channel=other) == NO_RIGHTS


def test_signs_mean_something_only_where_the_match_says_so():
    assert rights(one("n*", "n.+"), channel="news") == NO_RIGHTS
    assert rights(one("n*", match="wildcard"), channel="news") == EVERYTHING
    assert rights(one("n.+", match="wildcard"), channel="news") == NO_RIGHTS
    assert rights(one("n.+", match="regex"), channel="news") == EVERYTHING


@pytest.mark.parametrize("channel", ["news", "a", "ns:deep:er", "", "with#mark"])
def test_a_star_crosses_colons(channel):
    assert rights(one("*", match="wildcard"), channel=channel) == EVERYTHING


@pytest.mark.parametrize(
    ("pattern", "fits", "does_not"),
    [
        ("room", ["room"], ["rooms", "a-room"]),
        ("^room$", ["room"], ["rooms"]),
        ("room|hall", ["room", "hall"], ["rooms", "the hall"]),
        (r"chat:[a-z]+-\d{2,3}", ["chat:x-12", "chat:abc-123"], ["chat:x-1", "chat:X-12", "x-12", "chat:x-12\n"]),
    ],
)
def test_a_regex_is_anchored(pattern, fits, does_not):
    for channel in fits:
        assert rights(one(pattern, match="regex"), channel=channel) == EVERYTHING
    for channel in does_not:
        assert rights(one(pattern, match="regex"), channel=channel) == NO_RIGHTS


def test_all_that_fit_count_in_any_order():
    given = [one("news", allow=["pub"]), one("n*", match="wildcard", allow=["sub"]), one("news", allow=["hst"])]
    for order in permutations(given):
        assert rights(*order, channel="news") == Right.SUB | Right.PUB | Right.HST


def test_nothing_comes_of_nothing():
    for written in (None, [], [None], [WrittenCapability()], [one()], [WrittenCapability(allow=ALL)]):
        assert read_capabilities(written) is None
    assert rights(WrittenCapability(["news"]), channel="news") == NO_RIGHTS


@pytest.mark.parametrize("written", [one("$safe"), one("$s*", match="wildcard"), one(r"\$s.*", match="regex")])
def test_private_channels_are_entered_by_their_token_alone(written):
    assert rights(written, channel="$safe") == EVERYTHING & ~Right.SUB


@pytest.mark.parametrize("written", [one("*", match="wildcard"), one(".*", match="regex"), one(r"\$safe|.*", match="regex")])
def test_patterns_pass_over_private_channels(written):
    assert rights(written, channel="$safe") == NO_RIGHTS


def test_channels_of_others_must_be_named():
    patterns = one("*", match="wildcard"), one(".*", match="regex")
    assert rights(*patterns, channel="#42", is_foreign=True) == NO_RIGHTS
    assert rights(*patterns, one("#42"), channel="#42", is_foreign=True) == EVERYTHING & ~Right.SUB
    assert rights(*patterns, channel="#42") == EVERYTHING


def test_absurdly_long_names_fit_no_pattern():
    assert rights(one("*", match="wildcard"), channel="a" * 1024) == EVERYTHING
    assert rights(one("*", match="wildcard"), channel="a" * 1025) == NO_RIGHTS


@pytest.mark.parametrize(
    ("written", "rule"),
    [
        ([one("a", match="glob")], "caps.match must be"),
        ([one("a", match="Regex")], "caps.match must be"),
        ([one("a", allow=["subscribe"])], "allow must hold only"),
        ([one("a", allow=["SUB"])], "allow must hold only"),
        ([one("a", allow=[""])], "allow must hold only"),
        ([one("(", match="regex")], r"caps.channels: .* \( without"),
        ([one("a" * 257, match="wildcard")], "caps.channels: .* 256"),
        ([one("a")] * 65, "at most 64"),
        ([one(*map(str, range(513)))], "at most 512"),
        ([one(*map(str, range(65)), match="regex")], "64 patterns"),
    ],
)
def test_what_breaks_a_rule(written, rule):
    with pytest.raises(BadCapability, match=rule):
        read_capabilities(written)


def test_the_words_of_allow():
    assert read_allow(None) == read_allow([]) == NO_RIGHTS
    assert read_allow(ALL) == EVERYTHING
    assert read_allow(["pub", "pub"]) == Right.PUB


def test_connections_with_the_same_patterns_share_them():
    first, second = (read_capabilities([one("room-.*", match="regex")]) for _ in range(2))
    assert first.matchers[0] is second.matchers[0]


# Permissions

USERS = ["", "1", "42"]
CHANNELS = ["a", "ab", "$a", "a#42", "a#1,42", "#42", "#1", "$a#42"]


def test_whose_channel_it_is():
    permissions, capabilities = Permissions(insecure=False), read_capabilities([one("*", match="wildcard")])
    listed = ChannelOptions(allow_user_limited_channels=True)
    plain = ChannelOptions()

    def source(user, channel, options):
        return permissions.right_to_enter(user, channel, options, RULES, capabilities)

    assert source("1", "a", plain) is source("", "a", plain) is Source.CAPABILITY
    assert source("1", "$a", plain) is None
    assert source("1", "#42", plain) is None, "the personal channel of another"
    assert source("42", "#42", plain) is Source.CAPABILITY
    assert source("1", "a#42", listed) is None
    assert source("42", "a#42", listed) is Source.USER_LIMITED
    assert source("1", "a#42", plain) is Source.CAPABILITY, "lists mean nothing where they are not honoured"


def test_a_capability_is_the_last_reason():
    capabilities = read_capabilities([one("a")])
    open_to_all = ChannelOptions(allow_subscribe_for_client=True)
    assert Permissions(False).right_to_enter("1", "a", open_to_all, RULES, capabilities) is Source.CLIENT_ALLOWED
    assert Permissions(True).right_to_enter("1", "a", ChannelOptions(), RULES, capabilities) is Source.INSECURE


written_capabilities = st.builds(
    WrittenCapability,
    channels=st.lists(st.sampled_from([*CHANNELS, "*", "a*", "$*", "#*", ".*", r"\$a", "a|#42", "[a#]+.*"]), max_size=3),
    match=st.sampled_from(["", "wildcard", "regex"]),
    allow=st.lists(st.sampled_from(ALL), max_size=4),
).filter(lambda one: one.match != "regex" or not any(pattern.startswith("*") for pattern in one.channels))

flags = [
    "allow_subscribe_for_client",
    "allow_history_for_subscriber",
    "allow_presence_for_client",
    "allow_user_limited_channels",
]
channel_options = st.builds(
    ChannelOptions,
    history_size=st.just(5),
    history_ttl=st.just(60.0),
    presence=st.booleans(),
    join_leave=st.booleans(),
    allow_positioning=st.booleans(),
    **{name: st.booleans() for name in flags},
)


@given(
    st.lists(written_capabilities, max_size=3),
    written_capabilities,
    st.integers(0, 3),
    channel_options,
    st.booleans(),
    st.sampled_from(USERS),
    st.sampled_from(CHANNELS),
)
def test_one_more_never_takes_anything_away(before, more, place, options, insecure, user, channel):
    permissions = Permissions(insecure)
    after = [*before[:place], more, *before[place:]]

    def standing(written):
        capabilities = read_capabilities(written)
        source = permissions.right_to_enter(user, channel, options, RULES, capabilities)
        held = permissions.rights(capabilities, user, channel, options, RULES)
        return source, held, features(options, permissions, user, source or Source.SUBSCRIPTION_TOKEN, held)

    (source, held, had), (source_now, held_now, has) = standing(before), standing(after)
    assert held in held_now
    assert had <= has
    assert source is None or source_now is source


def features(options, permissions, user, source, held):
    given = grant(options, source, permissions=permissions, user=user, request=ASKS, rights=held)
    names = ("keeps_presence", "emits_membership", "wants_membership", "is_positioned", "is_recoverable")
    return {name for name in names if getattr(given, name)}


# What a subscription gets

HISTORY = {"history_size": 5, "history_ttl": "60s"}
SEEN = {"presence": True, "join_leave": True}


def granted(options, *, rights=NO_RIGHTS, allowed=NO_RIGHTS, source=Source.CLIENT_ALLOWED, request=ASKS):
    return grant(
        ChannelOptions(**options),
        source,
        permissions=Permissions(False),
        user="42",
        request=request,
        rights=rights,
        allowed=allowed,
    )


@pytest.mark.parametrize("by", ["rights", "allowed"])
def test_rights_count_for_what_is_asked(by):
    assert not granted(HISTORY).is_positioned
    given = granted(HISTORY, **{by: Right.HST})
    assert (given.is_positioned, given.is_recoverable) == (True, True)
    assert not granted({}, **{by: Right.HST}).is_positioned, "there is no history to read"
    assert granted(SEEN, **{by: Right.PRS}).wants_membership
    assert not granted({"join_leave": True}, **{by: Right.PRS}).wants_membership, "there is no presence to see"
    assert not granted(HISTORY, **{by: Right.HST}, request=SubscribeRequest()).is_positioned


@pytest.mark.parametrize(
    ("options", "rights", "lent"),
    [
        (HISTORY, Right.HST, Right.HST),
        ({**HISTORY, "allow_history_for_subscriber": True}, Right.HST, NO_RIGHTS),
        ({**HISTORY, "allow_recovery": True, "allow_positioning": True}, Right.HST, NO_RIGHTS),
        ({**HISTORY, "force_recovery": True}, Right.HST, NO_RIGHTS),
        (SEEN, Right.PRS, Right.PRS),
        ({**SEEN, "force_push_join_leave": True}, Right.PRS, NO_RIGHTS),
        ({**SEEN, "allow_presence_for_client": True}, Right.PRS, NO_RIGHTS),
        ({**SEEN, **HISTORY}, EVERYTHING, Right.PRS | Right.HST),
        ({}, EVERYTHING, NO_RIGHTS),
    ],
)
def test_what_only_capabilities_gave_is_lent(options, rights, lent):
    assert granted(options, rights=rights).lent == lent
    assert granted(options, rights=rights, source=Source.CAPABILITY).lent == lent | Right.SUB
    assert granted(options, rights=rights, request=SubscribeRequest()).lent == NO_RIGHTS
    assert granted(options, rights=rights, allowed=EVERYTHING).lent == NO_RIGHTS


def test_a_value_tells_what_it_is():
    assert read_capabilities([one("a", allow=["sub"])]) == Capabilities({"a": Right.SUB})
