"""`subscribe`, `unsubscribe`, `disconnect`, `refresh` and `info`: what the connections see of them."""

import base64

import pytest

CHANNELS = {
    "without_namespace": {"allow_subscribe_for_client": True},
    "namespaces": [
        {"name": "kept", "history_size": 5, "history_ttl": "60s", "force_recovery": True, "presence": True},
        {"name": "loud", "join_leave": True, "force_push_join_leave": True},
    ],
}


def id_of(client):
    return client.session.client.id


def b64(data):
    return base64.b64encode(data).decode()


async def test_subscribe_pushes_and_delivers(world, api):
    world = world(channel=CHANNELS)
    one, two, other, api = world.connected("42"), world.connected("42"), world.connected("43"), api(world)
    assert await api.result("subscribe", user="42", channel="a", data={"n": 1}) == {}
    for client in (one, two):
        assert client.read() == [{"push": {"channel": "a", "subscribe": {"data": {"n": 1}}}}]
    assert other.read() == []
    await api.result("publish", channel="a", data=5)
    assert [client.read() for client in (one, two)] == [[{"push": {"channel": "a", "pub": {"data": 5}}}]] * 2


async def test_subscribe_tells_the_position_and_enters_presence(world, api):
    world = world(channel=CHANNELS)
    client, api = world.connected("42"), api(world)
    top = await api.result("publish", channel="kept:a", data=1)
    await api.result("subscribe", user="42", channel="kept:a", info={"role": "x"})
    (push,) = client.read()
    assert push["push"]["subscribe"] == {"recoverable": True, "positioned": True, **top}
    presence = (await api.result("presence", channel="kept:a"))["presence"]
    assert presence == {id_of(client): {"user": "42", "client": id_of(client), "chan_info": {"role": "x"}}}


async def test_a_subscribe_is_followed_by_the_own_join(world, api):
    world = world(channel=CHANNELS)
    client, api = world.connected("42"), api(world)
    await api.result("subscribe", user="42", channel="loud:a")
    pushes = [entry["push"] for entry in client.read()]
    assert [next(name for name in push if name != "channel") for push in pushes] == ["subscribe", "join"]


async def test_subscribing_again_is_success_without_a_push(world, api):
    world = world(channel=CHANNELS)
    client, api = world.connected("42"), api(world)
    client.send({"id": 2, "subscribe": {"channel": "a"}})
    assert await api.result("subscribe", user="42", channel="a") == {}
    assert client.read() == []


async def test_options_can_be_overridden(world, api):
    world = world(channel=CHANNELS)
    client, api = world.connected("42"), api(world)
    override = {"presence": {"value": False}, "force_recovery": {"value": False}, "unknown": {"value": True}}
    await api.result("subscribe", user="42", channel="kept:a", override=override)
    assert client.read() == [{"push": {"channel": "kept:a", "subscribe": {}}}]
    assert await api.result("presence", channel="kept:a") == {"presence": {}}


async def test_a_position_asked_for_is_recovered(world, api):
    world = world(channel=CHANNELS)
    client, api = world.connected("42"), api(world)
    first = await api.result("publish", channel="kept:a", data=1)
    await api.result("publish", channel="kept:a", data=2)
    await api.result("subscribe", user="42", channel="kept:a", recover_since=first)
    (push,) = client.read()
    assert push["push"]["subscribe"]["offset"] == 1
    await api.result("publish", channel="kept:a", data=3)
    assert [entry["push"]["pub"]["offset"] for entry in client.read()] == [3]


async def test_info_and_data_may_come_as_base64_and_on_one_line(world, api):
    world = world(channel=CHANNELS)
    client, watcher, api = world.connected("42"), world.connected("43"), api(world)
    await api.result("subscribe", user="42", channel="kept:a", b64data=b64(b'{\n"n": 1}'), b64info=b64(b'["x",\n1]'), info=5)
    (push,) = client.read()
    assert push["push"]["subscribe"]["data"] == {"n": 1}
    presence = (await api.result("presence", channel="kept:a"))["presence"]
    assert presence[id_of(client)]["chan_info"] == ["x", 1]
    await api.post("subscribe", b'{"user":"43","channel":"loud:a","info":{\n"n":2},"data":[\n3]}')
    subscribe, join = watcher.read()
    assert subscribe["push"]["subscribe"] == {"data": [3]}
    assert join["push"]["join"]["info"]["chan_info"] == {"n": 2}


@pytest.mark.parametrize(
    ("request_", "error"),
    [
        ({"user": "42"}, (107, "bad request: channel must not be empty")),
        ({"user": "42", "channel": "nowhere:a"}, (102, "unknown channel")),
        ({"user": "42", "channel": "a", "b64info": "?"}, (107, "bad request: b64info must be base64 of JSON")),
        ({"user": "42", "channel": "a", "b64info": b64(b"no json")}, (107, "bad request: b64info must be base64 of JSON")),
        ({"user": "42", "channel": "a", "b64data": b64(b"\x00")}, (107, "bad request: b64data must be base64 of JSON")),
    ],
)
async def test_what_cannot_be_subscribed(world, api, request_, error):
    world = world(channel=CHANNELS)
    client = world.connected("42")
    assert await api(world).error("subscribe", **request_) == error
    assert client.read() == []
    assert world.node.hub.channels() == {"#42": 1}


async def test_a_subscription_expires_as_a_server_side_one(world, api):
    world = world(channel=CHANNELS, client={"ping_interval": "0s", "expired_sub_close_delay": "1s"})
    client, api = world.connected("42"), api(world)
    await api.result("subscribe", user="42", channel="a", expire_at=world.now() + 10)
    world.pass_time(10.5)
    assert client.closed is None
    world.pass_time(1)
    assert client.closed == (3006, "subscription expired")


async def test_unsubscribe_pushes_2000_to_those_who_are_in(world, api):
    world = world(channel=CHANNELS)
    inside, outside, api = world.connected("42"), world.connected("42"), api(world)
    inside.send({"id": 2, "subscribe": {"channel": "a"}})
    assert await api.result("unsubscribe", user="42", channel="a") == {}
    assert inside.read() == [{"push": {"channel": "a", "unsubscribe": {"code": 2000, "reason": "server unsubscribe"}}}]
    assert outside.read() == []
    await api.result("publish", channel="a", data=1)
    assert inside.read() == []


async def test_unsubscribe_takes_server_side_subscriptions_as_well(world, api):
    world = world(channel=CHANNELS)
    client, api = world.connected("42"), api(world)
    await api.result("unsubscribe", user="42", channel="#42")
    assert client.read()[0]["push"]["unsubscribe"]["code"] == 2000
    assert world.node.hub.channels() == {}


@pytest.mark.parametrize(("channel", "code"), [("", 107), ("nowhere:a", 102)])
async def test_what_cannot_be_unsubscribed(world, api, channel, code):
    assert (await api(world()).error("unsubscribe", user="42", channel=channel))[0] == code


async def test_disconnect_by_default(world, api):
    world = world()
    client, other = world.connected("42"), world.connected("43")
    assert await api(world).result("disconnect", user="42") == {}
    assert client.closed == (3503, "force disconnect")
    assert other.closed is None
    assert world.node.hub.statistics().clients == 1


@pytest.mark.parametrize(
    ("disconnect", "closed"),
    [
        ({"code": 4001, "reason": "go away"}, (4001, "go away")),
        ({"code": 3000, "reason": "x"}, (3000, "x")),
        ({"code": 4999, "reason": "ä" * 61}, (4999, "ä" * 61)),
        ({"code": 4500}, (4500, "force disconnect")),
        ({"reason": "why"}, (3503, "why")),
        ({}, (3503, "force disconnect")),
    ],
)
async def test_disconnect_with_a_code(world, api, disconnect, closed):
    world = world()
    client = world.connected("42")
    await api(world).result("disconnect", user="42", disconnect=disconnect)
    assert client.closed == closed


@pytest.mark.parametrize(
    ("disconnect", "field"),
    [
        ({"code": 2999}, "disconnect.code"),
        ({"code": 5000}, "disconnect.code"),
        ({"code": -1}, "disconnect.code"),
        ({"code": 1000}, "disconnect.code"),
        ({"reason": "x" * 124}, "disconnect.reason"),
        ({"reason": "ä" * 62}, "disconnect.reason"),
        ({"reason": "two\nlines"}, "disconnect.reason"),
        # SDKs take such reasons for JSON and believe what they find.
        ({"reason": "{}"}, "disconnect.reason"),
        ({"reason": "true"}, "disconnect.reason"),
        ({"reason": " 123"}, "disconnect.reason"),
        ({"reason": '"quoted"'}, "disconnect.reason"),
    ],
)
async def test_a_disconnect_that_clients_would_misread(world, api, disconnect, field):
    world = world()
    client = world.connected("42")
    code, message = await api(world).error("disconnect", user="42", disconnect=disconnect)
    assert code == 107
    assert field in message
    assert client.closed is None


async def test_the_whitelist_stays(world, api):
    world = world()
    one, two = world.connected("42"), world.connected("42")
    await api(world).result("disconnect", user="42", whitelist=[id_of(one)])
    assert one.closed is None
    assert two.closed == (3503, "force disconnect")


@pytest.mark.parametrize("method", ["subscribe", "unsubscribe", "disconnect", "refresh"])
async def test_connections_are_selected_by_user_and_client(world, api, method):
    world = world(channel=CHANNELS, client={"allow_anonymous_connect_without_token": True})
    clients = [world.connected("42"), world.connected("42"), world.connected("43"), world.client()]
    clients[3].connect()
    for client in clients[:3]:
        client.send({"id": 2, "subscribe": {"channel": "b"}})
    clients[3].read()
    channel = {"subscribe": {"channel": "a"}, "unsubscribe": {"channel": "b"}}.get(method, {})
    opened = api(world)

    def touched():
        return [bool(client.read()) or client.closed is not None for client in clients]

    assert await opened.result(method, user="nobody", **channel) == {}
    assert await opened.result(method, user="43", client=id_of(clients[0]), **channel) == {}
    assert touched() == [False] * 4
    await opened.result(method, user="42", client=id_of(clients[1]), **channel)
    assert touched() == [False, True, False, False]
    # An empty user means the anonymous connections, never all of them.
    await opened.result(method, **channel)
    # To be taken out of a channel it would have to be in it.
    assert touched() == [False, method == "disconnect", False, method != "unsubscribe"]


async def test_refresh_gives_a_new_expiry(world, api):
    world = world(client={"ping_interval": "0s"})
    client, api = world.connected("42", exp=world.now() + 10), api(world)
    assert await api.result("refresh", user="42", expire_at=world.now() + 100) == {}
    assert client.read() == [{"push": {"refresh": {"expires": True, "ttl": 100}}}]
    world.pass_time(100 + 24)
    assert client.closed is None
    world.pass_time(2)
    assert client.closed == (3005, "connection expired")


async def test_refresh_without_an_expiry_clears_it(world, api):
    world = world(client={"ping_interval": "0s"})
    client, api = world.connected("42", exp=world.now() + 10), api(world)
    await api.result("refresh", user="42")
    assert client.read() == [{"push": {"refresh": {}}}]
    world.pass_time(60)
    assert client.closed is None


@pytest.mark.parametrize("request_", [{"expired": True}, {"expire_at": 1}])
async def test_refresh_that_ends(world, api, request_):
    world = world()
    client = world.connected("42")
    await api(world).result("refresh", user="42", **request_)
    assert client.closed == (3005, "connection expired")


async def test_refresh_replaces_the_info_on_one_line(world, api):
    world = world(channel=CHANNELS)
    client, api = world.connected("42", info={"old": 1}), api(world)
    await api.post("refresh", b'{"user":"42","info":{\n"new":2}}')
    await api.result("subscribe", user="42", channel="loud:a")
    joins = [entry["push"]["join"]["info"] for entry in client.read() if "join" in entry["push"]]
    assert joins == [{"user": "42", "client": id_of(client), "conn_info": {"new": 2}}]


async def test_info_tells_all_there_is(world, api):
    world = world(channel=CHANNELS, node={"name": "one"})
    api = api(world)
    (node,) = (await api.result("info"))["nodes"]
    assert node.pop("process")["pid"]
    counts = {"num_clients": 0, "num_users": 0, "num_channels": 0, "num_subs": 0}
    assert node == {"uid": world.node.uid, "name": "one", "version": "test", "uptime": 0, **counts}
    client, _ = world.connected("42"), world.connected("42")
    client.send({"id": 2, "subscribe": {"channel": "a"}})
    world.clock.move(61)
    (node,) = (await api.result("info"))["nodes"]
    assert {name: node[name] for name in (*counts, "uptime")} == {
        "num_clients": 2,
        "num_users": 1,
        "num_channels": 2,
        "num_subs": 3,
        "uptime": 61,
    }
