"""Whose channels they are, and how long their streams are remembered."""

import pytest

HOUR_S = 3600
PERSONAL = {"subscribe_to_user_personal_channel": {"enabled": True}}
OPEN = {"without_namespace": {"allow_subscribe_for_client": True}}
DENIED = {"code": 103, "message": "permission denied"}


def subscribe(client, channel, **request):
    (reply,) = client.send({"id": 2, "subscribe": {"channel": channel, **request}})
    return reply.get("error") or reply["subscribe"]


async def test_a_personal_channel_is_nobody_elses(world):
    world = world(client=PERSONAL, channel=OPEN)
    assert subscribe(world.connected("eve"), "#bob") == DENIED
    client = world.client()
    result = client.connect(token=world.token("eve"), subs={"#bob": {}, "news": {}})
    assert sorted(result["subs"]) == ["#eve", "news"]


async def test_nor_one_in_a_namespace(world):
    namespace = {"name": "to", "allow_subscribe_for_client": True}
    client = {"subscribe_to_user_personal_channel": {"enabled": True, "personal_channel_namespace": "to"}}
    world = world(client=client, channel={**OPEN, "namespaces": [namespace]})
    eve = world.connected("eve")
    assert subscribe(eve, "to:#bob") == DENIED
    assert subscribe(eve, "to:#bob#x") == DENIED
    assert subscribe(eve, "to:bob") == {}
    assert subscribe(eve, "#bob") == {}, "this is no personal channel here"


async def test_a_subscription_token_opens_it(world):
    world = world(client=PERSONAL, channel=OPEN)
    assert subscribe(world.connected("eve"), "#bob", token=world.token("eve", channel="#bob")) == {}


@pytest.mark.parametrize("client", [{"insecure": True, **PERSONAL}, {"subscribe_to_user_personal_channel": {"enabled": False}}])
async def test_in_insecure_mode_and_without_personal_channels_it_is_open(world, client):
    world = world(client=client, channel=OPEN)
    assert subscribe(world.connected("eve"), "#bob") == {}


KEPT = {
    "without_namespace": {
        "allow_subscribe_for_client": True,
        "allow_history_for_client": True,
        "history_size": 10,
        "history_ttl": "60s",
        "history_meta_ttl": "1500h",
        "allow_recovery": True,
    },
    "namespaces": [
        {
            "name": "cache",
            "allow_subscribe_for_client": True,
            "history_size": 10,
            "history_ttl": "60s",
            "history_meta_ttl": "1500h",
            "force_recovery": True,
            "force_recovery_mode": "cache",
        }
    ],
}


async def by_subscribing(world, api, client, channel):
    assert subscribe(client, channel, recoverable=True)["epoch"]


async def by_recovering(world, api, client, channel):
    assert subscribe(client, channel, recoverable=True, recover=True)["recovered"]


async def by_the_command(world, api, client, channel):
    (reply,) = client.send({"id": 2, "history": {"channel": channel}})
    assert reply["history"]["epoch"]


async def by_the_api(world, api, client, channel):
    assert (await api.result("history", channel=channel))["epoch"]


async def by_the_check(world, api, client, channel):
    await by_subscribing(world, api, client, channel)
    world.node.positions.start()
    world.pass_time(80)
    assert client.closed is None


@pytest.mark.parametrize(
    ("use", "channel"),
    [
        (by_subscribing, "a"),
        (by_recovering, "a"),
        (by_recovering, "cache:a"),
        (by_the_command, "a"),
        (by_the_api, "a"),
        (by_the_check, "a"),
    ],
)
async def test_no_read_shortens_how_long_a_position_is_kept(world, api, use, channel):
    world = world(channel=KEPT, client={"ping_interval": "0s"})
    api = api(world)
    epoch = (await api.result("publish", channel=channel, data=1))["epoch"]
    await use(world, api, world.connected(), channel)
    world.clock.move(721 * HOUR_S)
    assert (await api.result("history", channel=channel))["epoch"] == epoch
