"""`block_user`, `unblock_user`, `revoke_token`, `invalidate_user_tokens`: who is in goes, and who comes is refused."""

import asyncio

import pytest

from broker.control import Recheck

CHANNELS = {"without_namespace": {"allow_subscribe_for_client": True}}
EXPIRED = {"code": 109, "message": "token expired"}


def answer_to(client, token):
    """Connect and tell the error, or None where it was let in."""
    replies = client.send({"id": 1, "connect": {"token": token}})
    return replies[0].get("error") if replies else client.closed


async def test_a_blocked_user_goes_and_does_not_come_back(world, api):
    world = world()
    inside, other, api = world.connected("42"), world.connected("43"), api(world)
    assert await api.result("block_user", user="42") == {}
    assert inside.closed == (3507, "permission denied")
    assert other.closed is None
    assert answer_to(world.client(), world.token("42")) == (3507, "permission denied")
    assert answer_to(world.client(), world.token("43")) is None


async def test_a_block_ends_by_itself_or_by_word(world, api):
    world = world(client={"ping_interval": "0s"})
    api = api(world)
    await api.result("block_user", user="42", expire_at=world.now() + 60)
    await api.result("block_user", user="43")
    assert await api.result("unblock_user", user="43") == {}
    assert answer_to(world.client(), world.token("43")) is None
    world.clock.move(59)
    assert answer_to(world.client(), world.token("42")) == (3507, "permission denied")
    world.clock.move(1)
    assert answer_to(world.client(), world.token("42")) is None


async def test_a_block_that_is_over_already_closes_nobody(world, api):
    world = world()
    client, api = world.connected("42"), api(world)
    await api.result("block_user", user="42", expire_at=1)
    assert client.closed is None


async def test_a_revoked_token_ends_its_connections_and_no_other(world, api):
    world = world()
    revoked, other, nameless = world.connected("42", jti="t1"), world.connected("42", jti="t2"), world.connected("42")
    api = api(world)
    assert await api.result("revoke_token", uid="t1") == {}
    assert revoked.closed == (3014, "state invalidated")
    assert other.closed is nameless.closed is None
    assert answer_to(world.client(), world.token("42", jti="t1")) == EXPIRED
    assert answer_to(world.client(), world.token("42", jti="t2")) is None


async def test_the_token_of_the_last_refresh_counts(world, api):
    world = world()
    client, api = world.connected("42", jti="t1", exp=world.now() + 60), api(world)
    client.send({"id": 2, "refresh": {"token": world.token("42", jti="t2", exp=world.now() + 90)}})
    await api.result("revoke_token", uid="t1")
    assert client.closed is None
    await api.result("revoke_token", uid="t2")
    assert client.closed == (3014, "state invalidated")


async def test_a_users_older_tokens_are_invalidated(world, api):
    world = world()
    now = world.now()
    old, new, silent = world.connected("42", iat=now - 1), world.connected("42", iat=now), world.connected("42")
    other = world.connected("43", iat=now - 1)
    assert await api(world).result("invalidate_user_tokens", user="42") == {}
    assert old.closed == silent.closed == (3014, "state invalidated")
    assert new.closed is other.closed is None
    assert answer_to(world.client(), world.token("42", iat=now - 1)) == EXPIRED
    assert answer_to(world.client(), world.token("42", iat=now)) is None


async def test_the_moment_may_be_named(world, api):
    world = world()
    old, new = world.connected("42", iat=99), world.connected("42", iat=100)
    await api(world).result("invalidate_user_tokens", user="42", issued_before=100)
    assert old.closed == (3014, "state invalidated")
    assert new.closed is None


@pytest.mark.parametrize(
    ("method", "request_"),
    [
        ("revoke_token", {"uid": "s1"}),
        ("invalidate_user_tokens", {"user": "42"}),
        ("invalidate_user_tokens", {"user": "42", "channel": "a"}),
    ],
)
async def test_a_subscription_token_ends_only_its_subscription(world, api, method, request_):
    world = world(channel=CHANNELS)
    now = world.now()
    client, api = world.connected("42", iat=now), api(world)
    token = world.token("42", channel="a", jti="s1", iat=now - 5)
    assert "error" not in client.send({"id": 2, "subscribe": {"channel": "a", "token": token}})[0]
    client.send({"id": 3, "subscribe": {"channel": "b"}})
    await api.result(method, **request_)
    assert client.read() == [{"push": {"channel": "a", "unsubscribe": {"code": 2502, "reason": "state invalidated"}}}]
    assert client.closed is None
    assert world.node.hub.channels() == {"#42": 1, "b": 1}
    (reply,) = client.send({"id": 4, "subscribe": {"channel": "a", "token": token}})
    assert reply["error"]["code"] == 109


async def test_tokens_of_one_channel_leave_the_connection_token_alone(world, api):
    world = world(channel=CHANNELS)
    client, api = world.connected("42", iat=world.now() - 5), api(world)
    await api.result("invalidate_user_tokens", user="42", channel="a")
    assert client.closed is None
    assert answer_to(world.client(), world.token("42", iat=world.now() - 5)) is None


async def test_words_that_were_learnt_late_end_what_they_would_have_kept_out(world):
    world = world(channel=CHANNELS)
    now, revocation = world.now(), world.engine.revocation
    blocked, revoked, inside = world.connected("41"), world.connected("42", jti="t1"), world.connected("43", iat=now)
    inside.send({"id": 2, "subscribe": {"channel": "a", "token": world.token("43", channel="a", iat=now - 5)}})
    inside.send({"id": 3, "subscribe": {"channel": "b"}})
    await revocation.block_user("41", until=now + 60)
    await revocation.revoke_token("t1", until=now + 60)
    await revocation.revoke_user_tokens("43", issued_before=now, until=now + 60, channel="a")
    assert blocked.closed is revoked.closed is None
    await world.engine.control.send(Recheck())
    assert blocked.closed == (3507, "permission denied")
    assert revoked.closed == (3014, "state invalidated")
    assert inside.closed is None
    assert inside.read() == [{"push": {"channel": "a", "unsubscribe": {"code": 2502, "reason": "state invalidated"}}}]
    assert world.node.hub.channels() == {"#43": 1, "b": 1}


class _Waiting:
    """The port Presence, which lets nobody in before it is told to."""

    def __init__(self, presence):
        self._presence, self.open = presence, asyncio.Event()

    def __getattr__(self, name):
        return getattr(self._presence, name)

    async def add(self, channel, info):
        await self.open.wait()
        await self._presence.add(channel, info)


async def settled(client):
    """Let what waits go on, and read."""
    for _ in range(20):
        await asyncio.sleep(0)
    return client.read()


@pytest.mark.parametrize(
    ("method", "request_", "outcome"),
    [
        ("block_user", {"user": "42"}, (3507, "permission denied")),
        ("revoke_token", {"uid": "t1"}, EXPIRED),
        ("invalidate_user_tokens", {"user": "42"}, EXPIRED),
    ],
)
async def test_who_is_just_coming_in_is_stopped_as_well(world, api, method, request_, outcome):
    world = world(channel={"namespaces": [{"name": "seen", "presence": True}]})
    presence = _Waiting(world.engine.presence)
    world.use_presence(presence)
    client = world.client()
    token = world.token("42", jti="t1", iat=world.now() - 5, channels=["seen:a"])
    assert client.send({"id": 1, "connect": {"token": token}}) == []
    await api(world).result(method, **request_)
    presence.open.set()
    replies = await settled(client)
    assert (replies[0]["error"] if replies else client.closed) == outcome
    assert world.node.hub.statistics().clients == 0
    assert world.node.hub.channels() == {}
    assert (await world.engine.presence.stats("seen:a")).clients == 0


async def test_a_subscription_that_is_just_being_made_is_stopped_as_well(world, api):
    world = world(channel={"namespaces": [{"name": "seen", "presence": True}]})
    presence = _Waiting(world.engine.presence)
    world.use_presence(presence)
    client = world.connected("42", iat=world.now())
    token = world.token("42", channel="seen:a", jti="s1")
    assert client.send({"id": 2, "subscribe": {"channel": "seen:a", "token": token}}) == []
    await api(world).result("revoke_token", uid="s1")
    presence.open.set()
    (reply,) = await settled(client)
    assert reply["error"]["code"] == 109
    assert "seen:a" not in world.node.hub.channels()


@pytest.mark.parametrize(
    ("method", "request_", "text"),
    [
        ("block_user", {}, "user must not be empty"),
        ("unblock_user", {}, "user must not be empty"),
        ("revoke_token", {}, "uid must not be empty"),
        ("invalidate_user_tokens", {}, "user must not be empty"),
    ],
)
async def test_who_is_meant_must_be_said(world, api, method, request_, text):
    world = world(client={"allow_anonymous_connect_without_token": True})
    client = world.client()
    client.connect()
    assert await api(world).error(method, **request_) == (107, f"bad request: {text}")
    assert client.closed is None


@pytest.mark.parametrize("method", ["block_user", "invalidate_user_tokens"])
@pytest.mark.parametrize("value", [-1, 2**53 + 1, 1.5, "1"])
async def test_moments_are_whole_seconds_that_json_can_hold(world, api, method, value):
    response = await api(world()).post(method, {"user": "42", "expire_at": value})
    assert response.status_code == 400
    assert "expire_at: must be a whole number" in response.text
