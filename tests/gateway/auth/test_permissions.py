"""Who may do what: every combination of flags against the rule in words."""

from itertools import product

import pytest

from config.settings import ChannelOptions
from gateway.auth.permissions import Permissions

FLAGS = [False, True]
SECURE, INSECURE = Permissions(insecure=False), Permissions(insecure=True)
JUDGES = {
    "publish": SECURE.may_publish,
    "presence": SECURE.may_see_presence,
    "history": SECURE.may_read_history,
}


@pytest.mark.parametrize("what", JUDGES)
def test_publish_presence_and_history(what):
    for client, subscriber, anonymous, is_subscribed, user in product(FLAGS, FLAGS, FLAGS, FLAGS, ["", "42"]):
        options = ChannelOptions(
            **{
                f"allow_{what}_for_client": client,
                f"allow_{what}_for_subscriber": subscriber,
                f"allow_{what}_for_anonymous": anonymous,
            }
        )
        has_way = client or (subscriber and is_subscribed)
        expected = has_way if user else has_way and anonymous
        assert JUDGES[what](user, is_subscribed, options) is expected


def test_one_right_does_not_give_another():
    for what in JUDGES:
        options = ChannelOptions(**{f"allow_{what}_for_client": True})
        assert {name for name, judge in JUDGES.items() if judge("42", True, options)} == {what}
        assert not SECURE.may_subscribe("42", options)


def test_subscribe():
    for client, anonymous, user in product(FLAGS, FLAGS, ["", "42"]):
        options = ChannelOptions(allow_subscribe_for_client=client, allow_subscribe_for_anonymous=anonymous)
        assert SECURE.may_subscribe(user, options) is (client and (bool(user) or anonymous))


@pytest.mark.parametrize(
    ("channel", "user", "expected"),
    [
        ("a", "42", None),
        ("a#42", "42", True),
        ("a#42", "43", False),
        ("a#42,43", "43", True),
        ("a#4,2", "42", False),
        ("a#1#42", "42", True),
        ("a#42#1", "42", False),
        ("a#", "42", False),
        ("a#", "", False),
        ("#42", "42", True),
    ],
)
def test_channels_that_name_their_users(channel, user, expected):
    assert SECURE.is_limited_to(user, channel, ChannelOptions(allow_user_limited_channels=True)) is expected
    assert SECURE.is_limited_to(user, channel, ChannelOptions()) is None


def test_insecure_lets_everything_pass():
    options = ChannelOptions()
    assert INSECURE.may_subscribe("", options)
    assert INSECURE.may_publish("", False, options)
    assert INSECURE.may_see_presence("", False, options)
    assert INSECURE.may_read_history("", False, options)
