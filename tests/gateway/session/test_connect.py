"""Connecting: who is let in, what the reply says, and what ends a connection before it began."""

import pytest

OPEN = {"without_namespace": {"allow_subscribe_for_client": True}}


async def test_connect_result(world):
    world = world()
    result = world.client().connect(token=world.token("42"))
    assert result["version"] == "test"
    assert result["ping"] == 25
    assert result["pong"] is True
    assert len(result["client"]) == 36
    assert "expires" not in result


async def test_personal_channel_is_subscribed(world):
    world = world()
    assert world.client().connect(token=world.token("42"))["subs"] == {"#42": {}}


async def test_anonymous_has_no_personal_channel(world):
    world = world(client={"allow_anonymous_connect_without_token": True})
    assert "subs" not in world.client().connect()


async def test_token_channels_are_subscribed(world):
    world = world()
    result = world.client().connect(token=world.token("42", channels=["news", "chat"]))
    assert set(result["subs"]) == {"news", "chat", "#42"}


async def test_token_subs_carry_data(world):
    world = world()
    result = world.client().connect(token=world.token("42", subs={"news": {"data": {"a": 1}}}))
    assert result["subs"]["news"] == {"data": {"a": 1}}


async def test_request_subs_are_those_the_client_may_have(world):
    world = world(channel={"namespaces": [{"name": "open", "allow_subscribe_for_client": True}]})
    wishes = {"open:a": {}, "closed": {}, "$open:b": {}}
    assert set(world.client().connect(token=world.token(), subs=wishes)["subs"]) == {"open:a", "#42"}


async def test_request_subs_of_an_unknown_namespace_end_the_connection(world):
    world = world()
    client = world.client()
    client.send({"id": 1, "connect": {"token": world.token(), "subs": {"nowhere:a": {}}}})
    assert client.closed == (3501, "bad request")


@pytest.mark.parametrize(
    ("token", "closed"),
    [("garbage", 3500), ("", 3501), ("eyJhbGciOiJub25lIn0.e30.", 3500)],
)
async def test_bad_credentials(world, token, closed):
    client = world().client()
    assert client.send({"id": 1, "connect": {"token": token}}) == []
    assert client.closed[0] == closed


async def test_expired_token_is_an_error_and_then_nothing_goes(world):
    world = world()
    client = world.client()
    token = world.token(exp=world.now() - 1)
    replies = client.send({"id": 1, "connect": {"token": token}}, {"id": 2, "subscribe": {"channel": "a"}})
    assert replies == [{"id": 1, "error": {"code": 109, "message": "token expired"}}]
    assert client.closed is None
    client.send({"id": 3, "subscribe": {"channel": "a"}})
    assert client.closed == (3501, "bad request")


async def test_refused_connection_goes_stale(world):
    world = world()
    client = world.client()
    client.send({"id": 1, "connect": {"token": world.token(exp=world.now() - 1)}})
    world.pass_time(10.2)
    assert client.closed == (3502, "stale")


async def test_silence_goes_stale(world):
    world = world()
    client = world.client()
    world.pass_time(9.8)
    assert client.closed is None
    world.pass_time(0.4)
    assert client.closed == (3502, "stale")


async def test_unknown_namespace_in_token(world):
    world = world()
    (reply,) = world.client().send({"id": 1, "connect": {"token": world.token(channels=["nowhere:a"])}})
    assert reply["error"]["code"] == 102


async def test_connection_limit_of_a_user(world):
    world = world(client={"user_connection_limit": 1})
    world.connected("42")
    second = world.client()
    second.send({"id": 1, "connect": {"token": world.token("42")}})
    assert second.closed == (3504, "connection limit")
    assert world.client().connect(token=world.token("43"))


async def test_single_connection_keeps_the_newest(world):
    world = world(client={"subscribe_to_user_personal_channel": {"enabled": True, "single_connection": True}})
    first = world.connected("42")
    second = world.connected("42")
    assert first.closed == (3504, "connection limit")
    assert second.closed is None


async def test_more_server_side_subscriptions_than_allowed(world):
    world = world(client={"channel_limit": 2})
    client = world.client()
    client.send({"id": 1, "connect": {"token": world.token(channels=["a", "b", "c"])}})
    assert client.closed == (3505, "channel limit")


async def test_user_from_a_trusted_header(world):
    world = world(client={"user_id_http_header": "X-User"})
    assert world.client({"x-user": "7"}).connect()["subs"] == {"#7": {}}


async def test_insecure_lets_anonymous_in_but_still_verifies_tokens(world):
    world = world(client={"insecure": True})
    assert world.client().connect()
    client = world.client()
    client.send({"id": 1, "connect": {"token": "garbage"}})
    assert client.closed == (3500, "invalid token")


async def test_anonymous_tokens_can_be_refused(world):
    world = world(client={"disallow_anonymous_connection_tokens": True})
    client = world.client()
    client.send({"id": 1, "connect": {"token": world.token("")}})
    assert client.closed == (3507, "permission denied")


async def test_expiry_is_told_and_ends_the_connection_after_the_grace(world):
    world = world()
    client = world.client()
    result = client.connect(token=world.token(exp=world.now() + 60))
    assert (result["expires"], result["ttl"]) == (True, 60)
    world.node._pings = None  # pongs are not this test's matter
    world.pass_time(84)
    assert client.closed is None
    world.pass_time(2)
    assert client.closed == (3005, "connection expired")


async def test_refresh_prolongs(world):
    world = world()
    client = world.connected(exp=world.now() + 60)
    world.node._pings = None
    world.pass_time(50)
    (reply,) = client.send({"id": 2, "refresh": {"token": world.token(exp=world.now() + 100)}})
    assert reply["refresh"]["ttl"] == 100
    assert reply["refresh"]["expires"] is True
    world.pass_time(100)
    assert client.closed is None
    world.pass_time(26)
    assert client.closed == (3005, "connection expired")


@pytest.mark.parametrize(
    ("user", "claims", "code"),
    [("43", {}, 3500), ("42", {"exp": 1}, 3005), ("42", {"channels": ["new"]}, 3010)],
)
async def test_refresh_with_a_wrong_token(world, user, claims, code):
    world = world()
    client = world.connected()
    client.send({"id": 2, "refresh": {"token": world.token(user, **claims)}})
    assert client.closed[0] == code


async def test_server_time_on_request(world):
    world = world(client={"connect_include_server_time": True})
    assert world.client().connect(token=world.token())["time"] == world.now() * 1000


async def test_a_begun_second_counts(world):
    world = world()
    world.clock.move(0.5)
    result = world.client().connect(token=world.token(exp=world.now() + 1))
    assert (result["expires"], result["ttl"]) == (True, 1)
