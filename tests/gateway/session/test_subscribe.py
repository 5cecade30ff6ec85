"""Subscribing: rights, limits, tokens, and what the reply says."""

import pytest

NAMESPACES = {
    "namespaces": [
        {"name": "open", "allow_subscribe_for_client": True},
        {"name": "closed"},
        {"name": "mine", "allow_user_limited_channels": True},
        {"name": "word", "allow_subscribe_for_client": True, "channel_regex": "^[a-zé]+$"},
    ]
}


def subscribe(client, channel, **request):
    (reply,) = client.send({"id": 9, "subscribe": {"channel": channel, **request}})
    return reply.get("error", {}).get("code") or reply["subscribe"]


@pytest.mark.parametrize(
    ("channel", "expected"),
    [
        ("open:a", {}),
        ("closed:a", 103),
        ("nowhere:a", 102),
        ("plain", 103),
        ("$open:a", 103),
        ("mine:a#42", {}),
        ("mine:a#41,42", {}),
        ("mine:a#43", 103),
        ("open:" + "x" * 250, {}),
        ("open:" + "x" * 251, 107),
        ("open:ä", 107),
        ("word:é", {}),
        ("word:E", 107),
        ("#42", 105),
    ],
)
async def test_who_may_subscribe_where(world, channel, expected):
    assert subscribe(world(channel=NAMESPACES).connected("42"), channel) == expected


async def test_insecure_opens_what_exists(world):
    world = world(client={"insecure": True}, channel=NAMESPACES)
    client = world.connected()
    assert subscribe(client, "closed:a") == {}
    assert subscribe(client, "mine:a#43") == {}
    assert subscribe(client, "$closed:a") == 103
    assert subscribe(client, "nowhere:a") == 102


async def test_anonymous_needs_both_flags(world):
    options = {
        "namespaces": [
            {"name": "users", "allow_subscribe_for_client": True},
            {"name": "everybody", "allow_subscribe_for_client": True, "allow_subscribe_for_anonymous": True},
            {"name": "nobody", "allow_subscribe_for_anonymous": True},
        ]
    }
    client = world(client={"allow_anonymous_connect_without_token": True}, channel=options).client()
    client.connect()
    assert subscribe(client, "users:a") == 103
    assert subscribe(client, "everybody:a") == {}
    assert subscribe(client, "nobody:a") == 103


async def test_empty_channel_ends_the_connection(world):
    client = world().connected()
    client.send({"id": 2, "subscribe": {"channel": ""}})
    assert client.closed == (3501, "bad request")


async def test_unknown_delta_ends_the_connection(world):
    client = world(channel=NAMESPACES).connected()
    client.send({"id": 2, "subscribe": {"channel": "open:a", "delta": "zip"}})
    assert client.closed == (3501, "bad request")


async def test_subscribing_twice(world):
    client = world(channel=NAMESPACES).connected()
    assert subscribe(client, "open:a") == {}
    assert subscribe(client, "open:a") == 105


async def test_more_subscriptions_than_allowed(world):
    client = world(client={"channel_limit": 2}, channel=NAMESPACES).connected()
    assert subscribe(client, "open:a") == {}
    assert subscribe(client, "open:b") == 106  # the personal channel is the other one


async def test_other_kinds_of_subscription(world):
    assert subscribe(world(channel=NAMESPACES).connected(), "open:a", type=1) == 108


async def test_a_token_opens_a_private_channel(world):
    world = world(channel=NAMESPACES)
    token = world.token("42", channel="$closed:a", data={"hello": 1})
    assert subscribe(world.connected(), "$closed:a", token=token) == {"data": {"hello": 1}}


@pytest.mark.parametrize(
    ("claims", "code"),
    [({"exp": 1}, 109), ({"expire_at": 1}, 110)],
)
async def test_expired_subscription_tokens(world, claims, code):
    world = world(channel=NAMESPACES)
    assert subscribe(world.connected(), "closed:a", token=world.token("42", channel="closed:a", **claims)) == code


async def test_a_bad_subscription_token_keeps_the_connection(world):
    client = world(channel=NAMESPACES).connected()
    assert subscribe(client, "closed:a", token="garbage") == 103
    assert client.closed is None


@pytest.mark.parametrize("claims", [{"channel": "closed:b"}, {"channel": "closed:a", "client": "another"}])
async def test_a_token_for_something_else_ends_the_connection(world, claims):
    world = world(channel=NAMESPACES)
    client = world.connected()
    client.send({"id": 2, "subscribe": {"channel": "closed:a", "token": world.token("42", **claims)}})
    assert client.closed == (3500, "invalid token")


async def test_a_token_of_another_user_ends_the_connection(world):
    world = world(channel=NAMESPACES)
    client = world.connected("42")
    client.send({"id": 2, "subscribe": {"channel": "closed:a", "token": world.token("43", channel="closed:a")}})
    assert client.closed == (3500, "invalid token")


async def test_an_expiring_subscription_is_told_and_ended(world):
    world = world(channel=NAMESPACES)
    client = world.connected()
    world.node._pings = None
    token = world.token("42", channel="closed:a", exp=world.now() + 10)
    assert subscribe(client, "closed:a", token=token) == {"expires": True, "ttl": 10}
    world.pass_time(10 + 25.2)
    assert client.read() == [{"push": {"channel": "closed:a", "unsubscribe": {"code": 2501, "reason": "subscription expired"}}}]
    assert client.closed is None
    assert "closed:a" not in world.node.hub.channels()


async def test_sub_refresh_prolongs(world):
    world = world(channel=NAMESPACES)
    client = world.connected()
    world.node._pings = None
    subscribe(client, "closed:a", token=world.token("42", channel="closed:a", exp=world.now() + 10))
    token = world.token("42", channel="closed:a", exp=world.now() + 60)
    (reply,) = client.send({"id": 3, "sub_refresh": {"channel": "closed:a", "token": token}})
    assert reply == {"id": 3, "sub_refresh": {"expires": True, "ttl": 60}}
    world.pass_time(40)
    assert client.read() == []


async def test_sub_refresh_with_an_expired_token_unsubscribes_first(world):
    world = world(channel=NAMESPACES)
    client = world.connected()
    subscribe(client, "closed:a", token=world.token("42", channel="closed:a", exp=world.now() + 10))
    push, reply = client.send(
        {"id": 3, "sub_refresh": {"channel": "closed:a", "token": world.token("42", channel="closed:a", exp=1)}}
    )
    assert push["push"]["unsubscribe"]["code"] == 2501
    assert reply["error"]["code"] == 109


async def test_sub_refresh_of_nothing(world):
    client = world(channel=NAMESPACES).connected()
    (reply,) = client.send({"id": 3, "sub_refresh": {"channel": "open:a", "token": "x"}})
    assert reply["error"]["code"] == 103
    subscribe(client, "open:a")
    (reply,) = client.send({"id": 3, "sub_refresh": {"channel": "open:a"}})
    assert (reply["error"]["code"], reply["error"]["message"]) == (107, "bad request: token must not be empty")


async def test_unsubscribe_of_nothing_is_success(world):
    client = world(channel=NAMESPACES).connected()
    assert client.send({"id": 2, "unsubscribe": {"channel": "open:a"}}) == [{"id": 2, "unsubscribe": {}}]


async def test_everything_is_gone_with_the_client(world):
    world = world(channel=NAMESPACES)
    client = world.connected()
    subscribe(client, "open:a")
    client.vanish()
    statistics = world.node.statistics()
    assert (statistics.clients, statistics.users, statistics.rooms, statistics.subscriptions) == (0, 0, 0, 0)
    assert world.engine.pubsub.statistics().subscribed == 0
