"""Policies of routes: what they may say, and who decides what they leave open."""

import pytest

from broker.errors import BadInput
from broker.routing import Quorum, Route, RoutePolicy, StopOn, check_policy


def test_a_list_within_the_list_is_one_stage():
    policy = check_policy([["live", "push"], "email"], {"push": 60}, "accepted", "most_recent")
    assert policy.stages == ((Route.LIVE, Route.PUSH), (Route.EMAIL,))
    assert policy.routes == (Route.LIVE, Route.PUSH, Route.EMAIL)
    assert (policy.waits, policy.stop_on, policy.devices) == ({Route.PUSH: 60}, StopOn.ACCEPTED, Quorum.MOST_RECENT)


def test_the_first_who_says_a_thing_decides_it():
    first = check_policy(None, {"push": 1.0}, "", "all")
    waits = {Route.PUSH: 2.0, Route.LIVE: 3.0}
    second = RoutePolicy(((Route.PUSH,),), waits, StopOn.ACCEPTED, Quorum.MOST_RECENT)
    merged = first.over(second)
    assert merged == RoutePolicy(((Route.PUSH,),), {Route.LIVE: 3.0, Route.PUSH: 1.0}, StopOn.ACCEPTED, Quorum.ALL)


@pytest.mark.parametrize(
    ("routes", "waits", "stop_on", "devices", "field"),
    [
        ([], {}, "", "", "routes"),
        ([[]], {}, "", "", "routes[0]"),
        (["push", ["live", "fax"]], {}, "", "", "routes[1]"),
        (["push", ["live", "push"]], {}, "", "", "routes"),
        (["push"], {"live": 3}, "", "", "waits.live"),
        (None, {"fax": 3}, "", "", "waits.fax"),
        (None, {"push": -1}, "", "", "waits.push"),
        (None, {"push": float("nan")}, "", "", "waits.push"),
        (["live"], {}, "accepted", "", "stop_on"),
        (None, {}, "read", "", "stop_on"),
        (["live", "email"], {}, "", "most_recent", "devices"),
        (None, {}, "", "two", "devices"),
    ],
)
def test_contradictions_are_refused_by_name(routes, waits, stop_on, devices, field):
    with pytest.raises(BadInput) as raised:
        check_policy(routes, waits, stop_on, devices)
    assert raised.value.field == field
