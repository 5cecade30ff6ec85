"""`connections`, and what one failing connection means for the others."""

import pytest

from broker.errors import EngineUnavailable

CHANNELS = {"without_namespace": {"allow_subscribe_for_client": True}, "namespaces": [{"name": "kept", "presence": True}]}


async def test_connections_tell_all_there_is(world, api):
    world = world(channel=CHANNELS)
    world.clock.move(5)
    client, api = world.client(), api(world)
    token = world.token("42", jti="t1", iat=7, meta={"plan": "pro"}, channels=["kept:a"])
    client.connect(token=token, name="js", version="5")
    client.send({"id": 2, "subscribe": {"channel": "b", "token": world.token("42", channel="b", jti="s1")}})
    client.send({"id": 3, "subscribe": {"channel": "c"}})
    world.connected("43")
    connected_at_ms = round(world.clock.now().timestamp() * 1000)
    world.clock.move(60)
    assert await api.result("connections", user="42") == {
        "connections": {
            client.session.client.id: {
                "user": "42",
                "app_name": "js",
                "app_version": "5",
                "transport": "websocket",
                "protocol": "json",
                "connected_at_ms": connected_at_ms,
                "ping_pong_latency_ms": -1,
                "state": {
                    "channels": {"kept:a": {"source": 1}, "#42": {"source": 9}, "b": {"source": 3}, "c": {"source": 6}},
                    "connection_token": {"uid": "t1", "issued_at": 7},
                    "subscription_tokens": {"b": {"uid": "s1"}},
                    "meta": {"plan": "pro"},
                },
            }
        }
    }


async def test_a_connection_without_a_token_has_none(world, api):
    world = world(client={"user_id_http_header": "X-User"})
    world.client({"x-user": "42"}).connect()
    (connection,) = (await api(world).result("connections", user="42"))["connections"].values()
    assert connection["state"] == {"channels": {"#42": {"source": 9}}}


async def test_nobody_is_an_empty_map(world, api):
    assert await api(world()).result("connections", user="42") == {"connections": {}}


async def test_connections_need_a_filter_that_is_known(world, api):
    api = api(world())
    assert await api.error("connections") == (107, "bad request: user must not be empty")
    assert await api.error("connections", user="42", expression="true") == (108, "not available: expression is not supported")


class _Failing:
    """The port Presence, away for some clients."""

    def __init__(self, presence, away):
        self._presence, self._away = presence, away

    def __getattr__(self, name):
        return getattr(self._presence, name)

    async def add(self, channel, info):
        if info.client in self._away:
            raise EngineUnavailable("redis did not answer")
        await self._presence.add(channel, info)


@pytest.mark.parametrize("failing", [0, 1, 2])
async def test_a_connection_that_fails_does_not_keep_it_from_the_others(world, api, failing):
    world = world(channel=CHANNELS)
    away = set()
    world.use_presence(_Failing(world.engine.presence, away))
    clients, api = [world.connected("42") for _ in range(3)], api(world)
    away.add(clients[failing].session.client.id)
    assert await api.error("subscribe", user="42", channel="kept:a") == (100, "internal server error")
    subscribed = [any("subscribe" in entry["push"] for entry in client.read()) for client in clients]
    assert [here for number, here in enumerate(subscribed) if number != failing] == [True, True]
