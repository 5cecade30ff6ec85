"""Capabilities and `allow` as a client meets them: what they open, what stays shut, and what a refresh takes back."""

import asyncio

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

CLOSED = {"presence": True, "join_leave": True, "history_size": 5, "history_ttl": "60s"}
COMMANDS = {
    "sub": {"subscribe": {"channel": "a"}},
    "pub": {"publish": {"channel": "a", "data": 1}},
    "prs": {"presence": {"channel": "a"}},
    "hst": {"history": {"channel": "a", "limit": -1}},
}
ALL = list(COMMANDS)
GUARD_S = 20


def caps(*channels, allow=ALL, match=""):
    return {"channels": list(channels), "allow": allow, "match": match}


def code(client, command):
    """Give the code that a command fails with, None where it succeeds."""
    reply = next(message for message in client.send({"id": 9, **command}) if message.get("id") == 9)
    return reply.get("error", {}).get("code")


def subscribe(client, channel="a", **request):
    [reply] = [message for message in client.send({"id": 3, "subscribe": {"channel": channel, **request}}) if "id" in message]
    return reply.get("subscribe", reply.get("error"))


@pytest.fixture
def closed(world):
    """A world in which nobody may do anything without a right of its own."""

    def make(**options):
        return world(channel={"without_namespace": {**CLOSED, **options}})

    return make


@pytest.mark.parametrize("right", ALL)
async def test_each_right_opens_its_command_and_no_other(closed, right):
    world = closed()
    for name, command in COMMANDS.items():
        client = world.connected(caps=[caps("a", allow=[right])])
        assert code(client, command) == (None if name == right else 103)
        assert code(world.connected(), command) == 103


async def test_presence_stats_belong_to_presence(closed):
    world = closed()
    stats = {"presence_stats": {"channel": "a"}}
    assert code(world.connected(caps=[caps("a", allow=["prs"])]), stats) is None
    assert code(world.connected(caps=[caps("a", allow=["sub", "pub", "hst"])]), stats) == 103


async def test_they_switch_nothing_on(closed):
    client = closed(presence=False, history_size=0, history_ttl=0).connected(caps=[caps("*", match="wildcard")])
    assert code(client, COMMANDS["prs"]) == 108
    assert code(client, COMMANDS["hst"]) == 108
    assert code(client, {"subscribe": {"channel": "nowhere:a"}}) == 102


async def test_they_are_enough_for_whoever_is_anonymous(closed):
    world = closed()
    client = world.client()
    client.connect(token=world.token("", caps=[caps("a")]))
    assert [code(client, command) for command in COMMANDS.values()] == [None] * 4


@pytest.mark.parametrize(("allow", "result"), [(["sub"], {}), (["sub", "hst"], {"recoverable": True, "positioned": True})])
async def test_hst_lets_recover_whoever_asks(closed, allow, result):
    client = closed().connected(caps=[caps("a", allow=allow)])
    given = subscribe(client, recoverable=True, positioned=True, join_leave=True)
    assert {name: given[name] for name in ("recoverable", "positioned") if name in given} == result


@pytest.mark.parametrize(("allow", "hears"), [(["sub"], False), (["sub", "prs"], True)])
async def test_prs_lets_hear_of_others_whoever_asks(closed, allow, hears):
    world = closed()
    client = world.connected(caps=[caps("a", allow=allow)])
    subscribe(client, join_leave=True)
    client.read()
    subscribe(world.connected("43", caps=[caps("a")]))
    assert [message["push"]["join"]["info"]["user"] for message in client.read()] == (["43"] if hears else [])


async def test_private_channels_keep_their_token(closed):
    world = closed()
    client = world.connected(caps=[caps("$a"), caps("*", "$*", match="wildcard")])
    assert code(client, {"subscribe": {"channel": "$a"}}) == 103
    assert code(client, {"subscribe": {"channel": "$a", "token": world.token(channel="$a")}}) is None


async def test_stars_do_not_look_into_private_channels(closed):
    client = closed().connected(caps=[caps("*", match="wildcard")])
    assert code(client, {"history": {"channel": "$a"}}) == 103
    assert code(client, {"publish": {"channel": "$a", "data": 1}}) == 103


async def test_stars_do_not_look_into_what_belongs_to_others(closed):
    world = closed(allow_user_limited_channels=True)
    client = world.connected("1", caps=[caps("*", match="wildcard"), caps("#43")])
    for channel in ("#42", "a#2,3"):
        assert code(client, {"subscribe": {"channel": channel}}) == 103
        assert code(client, {"history": {"channel": channel}}) == 103
        assert code(client, {"publish": {"channel": channel, "data": 1}}) == 103
    assert code(client, {"subscribe": {"channel": "#43"}}) == 103
    assert code(client, {"history": {"channel": "#43"}}) is None, "named"
    assert code(client, {"history": {"channel": "a#1,2"}}) is None, "its own"


async def test_what_connect_asks_for(closed):
    world = closed()
    result = world.client().connect(token=world.token(caps=[caps("a", allow=["sub"])]), subs={"a": {}, "b": {}})
    assert set(result["subs"]) == {"#42", "a"}


@pytest.mark.parametrize(
    "bad",
    [
        "no list",
        [1],
        [{"channels": "a"}],
        [{"channels": ["a"], "allow": ["everything"]}],
        [{"channels": ["a"], "match": "magic"}],
        [{"channels": ["("], "match": "regex"}],
        [{"channels": ["a" * 300], "match": "regex"}],
        [{"channels": [str(number) for number in range(1000)]}],
    ],
)
async def test_a_bad_capability_is_a_bad_token(closed, bad):
    world = closed()
    client = world.client()
    client.send({"id": 1, "connect": {"token": world.token(caps=bad)}})
    assert client.closed == (3500, "invalid token")


async def test_nulls_and_unknown_members_are_passed_over(closed):
    written = [None, {"channels": None, "allow": ["sub"], "new": 1}, {"channels": ["a"], "allow": ["sub"], "match": None}]
    client = closed().connected(caps=written)
    assert subscribe(client) == {}


# Refresh


def refresh(world, client, **claims):
    return client.send({"id": 4, "refresh": {"token": world.token(exp=world.now() + 100, **claims)}})


async def test_a_refresh_gives_others(closed):
    world = closed()
    client = world.connected(exp=world.now() + 50, caps=[caps("a", allow=["pub"])])
    [reply] = refresh(world, client, caps=[caps("a", allow=["hst"])])
    assert "refresh" in reply
    assert code(client, COMMANDS["hst"]) is None
    assert code(client, COMMANDS["pub"]) == 103


async def test_a_refresh_takes_back_what_it_does_not_name(closed):
    world = closed()
    client = world.connected(exp=world.now() + 50, caps=[caps("a", "b")], channels=["#42"])
    subscribe(client, "a")
    subscribe(client, "b")
    client.read()
    reply, push = refresh(world, client, caps=[caps("b", allow=["sub"])], channels=["#42"])
    assert "refresh" in reply
    assert push["push"] == {"channel": "a", "unsubscribe": {"code": 2502, "reason": "state invalidated"}}
    assert set(client.session.client.subscriptions) == {"#42", "b"}
    assert code(client, COMMANDS["sub"]) == 103, "it comes back and is told"
    assert (await world.engine.presence.stats("a")).clients == 0


async def test_who_may_stay_anyway_stays(closed):
    world = closed(allow_subscribe_for_client=True)
    client = world.connected(exp=world.now() + 50, caps=[caps("a")])
    subscribe(client, "a")
    subscribe(client, "b")
    client.read()
    assert [*refresh(world, client)[0]] == ["id", "refresh"]
    assert client.read() == []
    assert set(client.session.client.subscriptions) == {"#42", "a", "b"}


async def test_a_subscription_that_recovers_by_a_lent_right_is_made_anew(closed):
    world = closed(allow_subscribe_for_client=True)
    client = world.connected(exp=world.now() + 50, caps=[caps("a", allow=["hst"])])
    assert subscribe(client, recoverable=True)["recoverable"]
    client.read()
    _, push = refresh(world, client)
    assert push["push"]["unsubscribe"]["code"] == 2502
    assert "recoverable" not in subscribe(client, recoverable=True)


async def test_a_refresh_with_the_same_disturbs_nobody(closed):
    world = closed()
    given = [caps("a*", match="wildcard")]
    client = world.connected(exp=world.now() + 50, caps=given)
    subscribe(client, recoverable=True, join_leave=True)
    client.read()
    assert [*refresh(world, client, caps=given)[0]] == ["id", "refresh"]
    assert client.read() == []


class SlowPresence:
    """Presence that takes its time over entries in `a`, until it is told to go on."""

    def __init__(self, presence):
        self._presence, self.asked, self.released = presence, asyncio.Event(), asyncio.Event()

    def __getattr__(self, name):
        return getattr(self._presence, name)

    async def add(self, channel, info):
        if channel == "a":
            self.asked.set()
            await self.released.wait()
        await self._presence.add(channel, info)


async def test_what_is_withdrawn_while_it_is_used_is_judged_anew(closed):
    world = closed()
    presence = SlowPresence(world.engine.presence)
    world.use_presence(presence)
    client = world.connected(caps=[caps("a", allow=["sub"])])
    client.send({"id": 7, "subscribe": {"channel": "a"}})
    await presence.asked.wait()
    world.node._withdrawal.replace(client.session.client, None)  # as a refresh by the backend does
    presence.released.set()
    await world.node.tasks.drain(GUARD_S)
    [reply] = client.read()
    assert reply["error"] == {"code": 100, "message": "internal server error", "temporary": True}, "SDKs ask once more"
    assert (await world.engine.presence.stats("a")).clients == 0
    assert code(client, COMMANDS["sub"]) == 103


# `allow` of subscription tokens


async def test_a_subscription_token_brings_rights_in_its_channel(closed):
    world = closed()
    client = world.connected()
    token = world.token(channel="a", allow=["pub", "hst"])
    assert subscribe(client, token=token, recoverable=True)["recoverable"]
    assert [code(client, COMMANDS[name]) for name in ("pub", "hst", "prs")] == [None, None, 103]
    assert code(client, {"history": {"channel": "b"}}) == 103
    client.send({"id": 5, "unsubscribe": {"channel": "a"}})
    assert code(client, COMMANDS["pub"]) == 103, "they end with the subscription"


async def test_a_sub_refresh_says_anew_what_is_allowed(closed):
    world = closed()
    client = world.connected()
    subscribe(client, token=world.token(channel="a", allow=["pub"], exp=world.now() + 50))
    renewed = world.token(channel="a", allow=["prs"], exp=world.now() + 100)
    client.send({"id": 5, "sub_refresh": {"channel": "a", "token": renewed}})
    assert [code(client, COMMANDS[name]) for name in ("pub", "prs")] == [103, None]


async def test_a_bad_allow_is_a_bad_token(closed):
    world = closed()
    assert subscribe(world.connected(), token=world.token(channel="a", allow=["publish"]))["code"] == 103


# All together

channels = st.sampled_from(["a", "b", "$a", "#42", "#1", "a#1", "a#42"])
capabilities = st.builds(
    caps,
    st.sampled_from(["a", "b", "$a", "#42", "#1", "a#1", "*", "a*"]),
    allow=st.lists(st.sampled_from(ALL), max_size=3),
    match=st.sampled_from(["", "wildcard"]),
)
asked = st.lists(st.tuples(st.sampled_from(ALL), channels), min_size=1, max_size=8)
flags = st.lists(
    st.sampled_from(["allow_subscribe_for_client", "allow_publish_for_subscriber", "allow_user_limited_channels"]), max_size=3
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(capabilities, max_size=2), capabilities, flags, asked)
async def test_one_more_never_takes_anything_away(world, before, more, on, asked):
    world = world(channel={"without_namespace": {**CLOSED, **dict.fromkeys(on, True)}})
    clients = [world.connected("1", caps=given) for given in (before, [more, *before])]
    for what, channel in asked:
        (kind,) = COMMANDS[what]
        command = {kind: {**COMMANDS[what][kind], "channel": channel}}
        without, with_more = (code(client, command) for client in clients)
        assert without is not None or with_more is None
