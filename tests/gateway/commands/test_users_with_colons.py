"""Users whose ids hold colons: they connect, get what is theirs, and nobody else does."""

import pytest

USERS = ["auth0:7f3a", "urn:user:42", "a:", ":a", "without:namespace"]
LIMITED = {"without_namespace": {"allow_user_limited_channels": True, "presence": True}}


@pytest.mark.parametrize("user", USERS)
async def test_they_connect_and_have_a_personal_channel(world, api, user):
    world = world(channel={"namespaces": [{"name": "without"}]})
    client = world.client()
    result = client.connect(token=world.token(user))
    assert set(result["subs"]) == {f"#{user}"}
    await api(world).result("publish", channel=f"#{user}", data=1)
    assert [message["push"]["pub"]["data"] for message in client.read()] == [1]


async def test_a_personal_channel_in_a_namespace(world):
    personal = {"subscribe_to_user_personal_channel": {"personal_channel_namespace": "to"}}
    world = world(client=personal, channel={"namespaces": [{"name": "to"}]})
    assert set(world.client().connect(token=world.token("auth0:7f3a"))["subs"]) == {"to:#auth0:7f3a"}


async def test_channels_that_name_them(world):
    world = world(channel=LIMITED)
    one, other = world.connected("auth0:1"), world.connected("auth0:2")
    subscribe = {"subscribe": {"channel": "dialog#auth0:1,google:3"}}
    assert one.send({"id": 2, **subscribe})[0]["subscribe"] == {}
    assert other.send({"id": 2, **subscribe})[0]["error"]["code"] == 103
    assert other.send({"id": 3, "subscribe": {"channel": "#auth0:1"}})[0]["error"]["code"] == 103


async def test_an_unknown_namespace_is_one_all_the_same(world):
    client = world(channel=LIMITED).connected("auth0:1")
    assert client.send({"id": 2, "subscribe": {"channel": "nowhere:dialog#auth0:1"}})[0]["error"]["code"] == 102
