"""What a subscription gets: the channel's options, what a token overrides, and what is given to those who ask."""

import pytest

from config.settings import ChannelOptions
from gateway.auth.grants import grant, server_grant
from gateway.auth.permissions import Permissions
from gateway.auth.tokens import SubscriptionOverride
from gateway.protocol.messages import SubscribeRequest
from gateway.session.subscription import Source

HISTORY = {"history_size": 5, "history_ttl": "60s"}
ALL = SubscribeRequest(positioned=True, recoverable=True, join_leave=True)


def granted(options, request=ALL, override=None, insecure=False):
    """Name the features that are granted to a client that asks for all of them."""
    more = {"override": override} if override else {}
    given = grant(
        ChannelOptions(**options),
        Source.CLIENT_ALLOWED,
        permissions=Permissions(insecure),
        user="42",
        request=request,
        **more,
    )
    return features(given)


def features(given):
    names = ("keeps_presence", "emits_membership", "wants_membership", "is_positioned", "is_recoverable")
    return {name.partition("_")[2] if name.startswith("is") else name for name in names if getattr(given, name)}


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, set()),
        ({"presence": True}, {"keeps_presence"}),
        ({"join_leave": True}, {"emits_membership"}),
        ({"join_leave": True, "force_push_join_leave": True}, {"emits_membership", "wants_membership"}),
        ({"force_push_join_leave": True}, set()),
        # Asking is enough for those who could ask for presence anyway, but not where presence is off.
        ({"join_leave": True, "allow_presence_for_client": True}, {"emits_membership"}),
        (
            {"join_leave": True, "presence": True, "allow_presence_for_subscriber": True},
            {"keeps_presence", "emits_membership", "wants_membership"},
        ),
        (HISTORY, set()),
        ({**HISTORY, "allow_history_for_subscriber": True}, {"positioned", "recoverable"}),
        ({"allow_history_for_subscriber": True}, set()),
        ({"allow_positioning": True}, {"positioned"}),
        ({**HISTORY, "allow_recovery": True}, {"positioned", "recoverable"}),
        ({"force_positioning": True}, {"positioned"}),
        ({**HISTORY, "force_recovery": True}, {"positioned", "recoverable"}),
    ],
)
def test_who_asks_for_everything(options, expected):
    assert granted(options) == expected


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"allow_positioning": True}, set()),
        ({**HISTORY, "allow_recovery": True}, set()),
        ({**HISTORY, "force_recovery": True}, {"positioned", "recoverable"}),
        ({"force_positioning": True}, {"positioned"}),
        ({"join_leave": True, "presence": True, "allow_presence_for_client": True}, {"keeps_presence", "emits_membership"}),
    ],
)
def test_who_asks_for_nothing(options, expected):
    assert granted(options, SubscribeRequest()) == expected


def test_insecure_counts_as_access():
    assert granted(HISTORY, insecure=True) == {"positioned", "recoverable"}


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        (SubscriptionOverride(presence=True), {"keeps_presence"}),
        (SubscriptionOverride(join_leave=True), {"emits_membership"}),
        (SubscriptionOverride(join_leave=True, force_push_join_leave=True), {"emits_membership", "wants_membership"}),
        (SubscriptionOverride(force_positioning=True), {"positioned"}),
        (SubscriptionOverride(force_recovery=True), {"positioned", "recoverable"}),
    ],
)
def test_overrides_add(override, expected):
    assert granted({}, SubscribeRequest(), override) == expected
    assert features(server_grant(ChannelOptions(), Source.CONNECTION_TOKEN, override=override)) == expected


def test_overrides_take_away():
    everything = {
        **HISTORY,
        "presence": True,
        "join_leave": True,
        "force_push_join_leave": True,
        "force_recovery": True,
        "force_positioning": True,
    }
    nothing = SubscriptionOverride(False, False, False, False, False)
    assert granted(everything, SubscribeRequest(), nothing) == set()
    assert features(server_grant(ChannelOptions(**everything), Source.SERVER_API, override=nothing)) == set()
    assert len(features(server_grant(ChannelOptions(**everything), Source.SERVER_API))) == 5


def test_what_comes_with_it():
    given = server_grant(ChannelOptions(), Source.SERVER_API, info=b"1", data=b"2", expire_at=3)
    assert (given.source, given.is_server_side) == (Source.SERVER_API, True)
    assert (given.info, given.data, given.expire_at) == (b"1", b"2", 3)
    by_client = grant(ChannelOptions(), Source.SUBSCRIPTION_TOKEN, permissions=Permissions(False), user="42", info=b"1")
    assert (by_client.is_server_side, by_client.info) == (False, b"1")


def test_cache_mode():
    options = {**HISTORY, "force_recovery": True, "force_recovery_mode": "cache", "auto_cache_recover": True}
    given = server_grant(ChannelOptions(**options), Source.PERSONAL)
    assert (given.recovers_cache, given.recovers_always) == (True, True)
    assert server_grant(ChannelOptions(), Source.PERSONAL).recovers_cache is False
