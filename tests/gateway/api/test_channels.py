"""`presence`, `presence_stats`, `history`, `history_remove` and `channels`."""

import pytest

CHANNELS = {
    "without_namespace": {"allow_subscribe_for_client": True},
    "namespaces": [
        {
            "name": "kept",
            "history_size": 400,
            "history_ttl": "60s",
            "allow_subscribe_for_client": True,
            "allow_publish_for_client": True,
        },
        {"name": "seen", "presence": True, "allow_subscribe_for_client": True},
    ],
}


def subscribed(world, channel, user="42", **claims):
    client = world.connected(user, **claims)
    client.send({"id": 2, "subscribe": {"channel": channel}})
    return client


async def filled(world, api, count):
    opened = api(world)
    for number in range(1, count + 1):
        await opened.result("publish", channel="kept:a", data=number)
    return opened


async def test_presence(world, api):
    world = world(channel=CHANNELS)
    api = api(world)
    assert await api.result("presence", channel="seen:a") == {"presence": {}}
    assert await api.result("presence_stats", channel="seen:a") == {"num_clients": 0, "num_users": 0}
    one, two = subscribed(world, "seen:a", info={"name": "Ann"}), subscribed(world, "seen:a")
    ids = [client.session.client.id for client in (one, two)]
    assert await api.result("presence", channel="seen:a") == {
        "presence": {
            ids[0]: {"user": "42", "client": ids[0], "conn_info": {"name": "Ann"}},
            ids[1]: {"user": "42", "client": ids[1]},
        }
    }
    assert await api.result("presence_stats", channel="seen:a") == {"num_clients": 2, "num_users": 1}
    one.vanish()
    assert list((await api.result("presence", channel="seen:a"))["presence"]) == [ids[1]]


async def test_an_anonymous_member_has_an_empty_user(world, api):
    world = world(channel=CHANNELS, client={"insecure": True})
    client = world.client()
    client.connect(subs={})
    client.send({"id": 2, "subscribe": {"channel": "seen:a"}})
    id = client.session.client.id
    assert await api(world).result("presence", channel="seen:a") == {"presence": {id: {"user": "", "client": id}}}


async def test_history(world, api):
    world = world(channel=CHANNELS)
    api = await filled(world, api, 4)
    top = await api.result("history", channel="kept:a")
    assert top == {"publications": [], "offset": 4, "epoch": top["epoch"]}
    epoch = top["epoch"]

    async def offsets(**request):
        history = await api.result("history", channel="kept:a", **request)
        assert (history["offset"], history["epoch"]) == (4, epoch)
        return [entry["offset"] for entry in history["publications"]]

    assert await offsets(limit=2) == [1, 2]
    assert await offsets(limit=-1) == [1, 2, 3, 4]
    assert await offsets(limit=2, reverse=True) == [4, 3]
    assert await offsets(limit=10, since={"offset": 2, "epoch": epoch}) == [3, 4]
    assert await offsets(limit=10, since={"offset": 2}) == [3, 4]
    assert await offsets(limit=10, since={"offset": 3, "epoch": epoch}, reverse=True) == [2, 1]
    assert await offsets(limit=10, since={"offset": 4, "epoch": epoch}) == []


async def test_history_is_not_capped_for_backends(world, api):
    world = world(channel=CHANNELS)
    api = await filled(world, api, 310)
    assert len((await api.result("history", channel="kept:a", limit=-1))["publications"]) == 310
    assert len((await api.result("history", channel="kept:a", limit=305))["publications"]) == 305


async def test_history_of_nothing_has_its_zero_values(world, api):
    history = await api(world(channel=CHANNELS)).result("history", channel="kept:a", limit=1)
    assert history == {"publications": [], "offset": 0, "epoch": history["epoch"]}
    assert history["epoch"]


async def test_history_tells_who_published(world, api):
    world = world(channel=CHANNELS)
    client = world.connected("42", info={"name": "Ann"})
    client.send({"id": 2, "publish": {"channel": "kept:a", "data": {"n": 1}}})
    (publication,) = (await api(world).result("history", channel="kept:a", limit=1))["publications"]
    info = {"user": "42", "client": client.session.client.id, "conn_info": {"name": "Ann"}}
    assert publication == {"data": {"n": 1}, "info": info, "offset": 1}


async def test_history_remove_keeps_the_position(world, api):
    world = world(channel=CHANNELS)
    api = await filled(world, api, 2)
    before = await api.result("history", channel="kept:a")
    assert await api.result("history_remove", channel="kept:a") == {}
    assert await api.result("history", channel="kept:a", limit=5) == before
    assert await api.result("history_remove", channel="kept:never") == {}


@pytest.mark.parametrize("method", ["presence", "presence_stats", "history", "history_remove"])
@pytest.mark.parametrize(
    ("request_", "code"),
    [({"channel": "a"}, 108), ({"channel": "nowhere:a"}, 102), ({"channel": ""}, 107), ({}, 107)],
)
async def test_what_a_channel_does_not_have(world, api, method, request_, code):
    assert (await api(world(channel=CHANNELS)).error(method, **request_))[0] == code


async def test_history_with_a_wrong_position(world, api):
    world = world(channel=CHANNELS)
    api = await filled(world, api, 2)
    lost = {"offset": 1, "epoch": "other"}
    assert await api.error("history", channel="kept:a", limit=1, since=lost) == (112, "unrecoverable position")
    code, message = await api.error("history", channel="kept:a", limit=1, since={"offset": 0}, reverse=True)
    assert (code, message) == (107, "bad request: since.offset must be above 0 in reverse")


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("", {"a", "chat:1", "chat:12", "news:1", "#42"}),
        ("*", {"a", "chat:1", "chat:12", "news:1", "#42"}),
        ("chat:*", {"chat:1", "chat:12"}),
        ("chat:?", {"chat:1"}),
        ("chat:[0-9]", {"chat:1"}),
        ("{chat,news}:1", {"chat:1", "news:1"}),
        ("{chat,news}:{1,12}", {"chat:1", "chat:12", "news:1"}),
        ("*1", {"chat:1", "news:1"}),
        ("CHAT:*", set()),
        ("{chat", set()),
    ],
)
async def test_channels_by_pattern(world, api, pattern, expected):
    names = [{"name": name, "allow_subscribe_for_client": True} for name in ("chat", "news")]
    world = world(channel={"without_namespace": {"allow_subscribe_for_client": True}, "namespaces": names})
    client = world.connected()
    for channel in ("a", "chat:1", "chat:12", "news:1"):
        client.send({"id": 2, "subscribe": {"channel": channel}})
    assert (await api(world).result("channels", pattern=pattern))["channels"].keys() == expected


async def test_channels_count_their_clients(world, api):
    world = world(channel=CHANNELS)
    api = api(world)
    assert await api.result("channels") == {"channels": {}}
    one, _ = subscribed(world, "a"), subscribed(world, "a", "43")
    found = (await api.result("channels"))["channels"]
    assert found == {"a": {"num_clients": 2}, "#42": {"num_clients": 1}, "#43": {"num_clients": 1}}
    one.vanish()
    assert (await api.result("channels", pattern="a"))["channels"] == {"a": {"num_clients": 1}}


async def test_a_pattern_cannot_be_made_to_grow_without_end(world, api):
    code, message = await api(world()).error("channels", pattern="{a,b}" * 40)
    assert code == 107
    assert message.startswith("bad request: pattern ")
