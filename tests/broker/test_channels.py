"""Channel names and their options (PROTOCOL §4.1, §4.2)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.channels import ChannelRules, UnknownNamespace, namespace_of, publish_options, users_of
from broker.errors import BrokerError
from broker.model import PublishOptions
from config.settings import ChannelOptions, ChannelSettings, NamespaceSettings, PersonalChannelSettings

NEWS = NamespaceSettings(name="news", presence=True)
ROOMS = NamespaceSettings(name="rooms", channel_regex="^[a-zа-я]+$")


def make_rules(personal: PersonalChannelSettings | None = None, **without_namespace: object) -> ChannelRules:
    settings = ChannelSettings(without_namespace=ChannelOptions(**without_namespace), namespaces=(NEWS, ROOMS))
    return ChannelRules(settings, personal or PersonalChannelSettings())


@pytest.mark.parametrize(
    ("channel", "namespace"),
    [
        ("", ""),
        ("plain", ""),
        ("news:x", "news"),
        ("$news:x", "news"),
        ("$plain", ""),
        ("news:a:b", "news"),
        ("news:#42", "news"),
        ("#42", ""),
        ("#auth0:7f3a", ""),  # the colon belongs to the user
        ("dialog#a:b,c:d", ""),
        ("$dialog#a:b", ""),
        ("news:#auth0:7f3a", "news"),
        ("news:dialog#a:b", "news"),
        (":x", ""),
        ("$:x", ""),
        ("$$news:x", "$news"),  # one mark only
        ("news", ""),
    ],
)
def test_the_namespace_stands_before_the_first_colon(channel, namespace):
    assert namespace_of(channel) == namespace


@pytest.mark.parametrize(
    ("channel", "users"),
    [
        ("plain", None),
        ("#42", ["42"]),
        ("dialog#42,43", ["42", "43"]),
        ("news:dialog#42", ["42"]),
        ("a#b#42", ["42"]),  # the last mark counts
        ("x#", [""]),
        ("x#42,", ["42", ""]),
    ],
)
def test_users_stand_after_the_last_mark(channel, users):
    assert users_of(channel) == users


def test_a_channel_falls_under_its_namespace():
    rules = make_rules(join_leave=True)
    assert rules.options("news:x") is NEWS
    assert rules.options("$news:x") is NEWS
    assert rules.options("news").join_leave
    assert rules.options("$anything#1").join_leave


@pytest.mark.parametrize("user", ["auth0:7f3a", ":", "a:", ":b", "news:x", "a:b:c", "undefined:x"])
def test_ids_of_users_may_hold_colons(user):
    rules = make_rules(presence=True)
    personal = rules.personal(user)
    assert personal == f"#{user}"
    assert rules.options(personal).presence
    assert users_of(personal) == [user]
    assert rules.is_personal_of_another(personal, "bob")
    assert not rules.is_personal_of_another(personal, user)
    spaced = make_rules(PersonalChannelSettings(personal_channel_namespace="news"))
    assert spaced.options(spaced.personal(user)) is NEWS


@pytest.mark.parametrize("channel", ["undefined:x", "$undefined:x", ":x", "NEWS:x", "$$news:x", "news :x"])
def test_an_unknown_namespace_is_refused_by_name(channel):
    with pytest.raises(UnknownNamespace, match="is not configured") as raised:
        make_rules().options(channel)
    assert isinstance(raised.value, BrokerError)
    assert repr(namespace_of(channel)) in str(raised.value)


@given(st.text())
def test_any_name_has_options_or_no_namespace(channel):
    try:
        options = make_rules().options(channel)
    except UnknownNamespace:
        assert namespace_of(channel) not in ("news", "rooms")
    else:
        assert isinstance(options, ChannelOptions)


@pytest.mark.parametrize(
    ("channel", "is_allowed"),
    [
        ("plain", True),
        ("$dialog#42,43", True),
        ("ключ", False),  # ASCII where no pattern says otherwise
        ("news:ключ", False),
        ("news:x y\t", True),
        ("rooms:ключ", True),  # the pattern alone decides
        ("rooms:abc", True),
        ("rooms:abc1", False),
        ("rooms:", False),
        ("rooms:a:b", False),  # searched in all that follows the first colon
    ],
)
def test_which_names_pass(channel, is_allowed):
    rules = make_rules()
    assert rules.is_name_allowed(channel, rules.options(channel)) is is_allowed


def test_a_colon_of_a_user_cuts_nothing_off_a_name():
    rules = make_rules(channel_regex="^dialog#")
    options = rules.options("dialog#a:b")
    assert rules.is_name_allowed("dialog#a:b", options)
    assert not rules.is_name_allowed("other#a:dialog#", options)


def test_a_pattern_without_namespace_is_searched_in_the_whole_name():
    rules = make_rules(channel_regex="^ab")
    options = rules.options("abc")
    assert [rules.is_name_allowed(channel, options) for channel in ("abc", "xabc")] == [True, False]


@pytest.mark.parametrize(
    ("personal", "user", "channel"),
    [
        (PersonalChannelSettings(), "42", "#42"),
        (PersonalChannelSettings(personal_channel_namespace="news"), "42", "news:#42"),
        (PersonalChannelSettings(), "", None),
        (PersonalChannelSettings(enabled=False), "42", None),
    ],
)
def test_the_personal_channel(personal, user, channel):
    assert make_rules(personal).personal(user) == channel


def test_a_personal_channel_is_limited_to_its_user():
    assert users_of(make_rules(PersonalChannelSettings(personal_channel_namespace="news")).personal("42")) == ["42"]


def test_publications_are_kept_as_the_channel_says():
    options = ChannelOptions(history_size=5, history_ttl=60.0, history_meta_ttl=600.0)
    assert publish_options(options) == PublishOptions(5, 60.0, 600.0)


def test_a_position_outlives_publications_by_thirty_days_unless_set():
    assert publish_options(ChannelOptions(history_size=5, history_ttl=60.0)).history_meta_ttl_s == 30 * 86400


@pytest.mark.parametrize(
    ("options", "skip_history"),
    [(ChannelOptions(), False), (ChannelOptions(history_size=5, history_ttl=60.0), True)],
)
def test_without_history_nothing_is_kept(options, skip_history):
    assert not publish_options(options, skip_history=skip_history).keeps


def test_what_the_publisher_says_is_passed_on():
    options = publish_options(ChannelOptions(), idempotency_key="k", version=3, version_epoch="a")
    assert (options.idempotency_key, options.version, options.version_epoch) == ("k", 3, "a")


@pytest.mark.parametrize("user", ["a,b", "x#y", "#", ","])
def test_an_id_that_would_read_as_a_list_has_no_personal_channel_where_lists_count(user):
    limited = make_rules(allow_user_limited_channels=True)
    assert limited.personal(user) is None
    assert limited.personal("plain") == "#plain"
    assert make_rules().personal(user) == f"#{user}"
    # The lists of the namespace that personal channels are in are what counts.
    elsewhere = make_rules(PersonalChannelSettings(personal_channel_namespace="news"), allow_user_limited_channels=True)
    assert elsewhere.personal(user) == f"news:#{user}"
