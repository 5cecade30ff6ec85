"""The methods of topics over the API, and those that clients have over RPC."""

import pytest

FCM = "dQw4w9WgXcQ:APA91b-" + "x" * 60
DENIED = {"error": {"code": 103, "message": "permission denied: clients may not subscribe to this topic"}}


async def members(desk, topic="news:sport"):
    return [item["user"] for item in (await desk.api.result("topic_members", topic=topic))["items"]]


async def topics(desk, **request):
    return [item["topic"] for item in (await desk.api.result("topic_list", **request))["items"]]


async def test_topics_come_and_go(desk):
    assert await desk.api.result("topic_create", topic="quiet") == {}
    for _ in range(2):
        assert await desk.api.result("topic_subscribe", topic="news:sport", users=["bob", "ann"]) == {}
    assert await topics(desk) == ["news:sport", "quiet"]
    assert await topics(desk, user="ann") == ["news:sport"]
    assert await desk.api.result("topic_members", topic="quiet") == {"items": [], "next_cursor": ""}
    await desk.api.result("topic_unsubscribe", topic="news:sport", user="bob")
    assert await members(desk) == ["ann"]
    assert await desk.api.result("topic_remove", topic="news:sport") == {}
    for method in ("topic_members", "topic_remove"):
        assert await desk.api.error(method, topic="news:sport") == (104, "topic not found")


async def test_a_device_is_listed_with_its_user(desk):
    device = (await desk.api.result("device_register", user="ann", provider="fcm", token=FCM))["id"]
    await desk.api.result("topic_subscribe", topic="news:sport", user="ann", device=device)
    (item,) = (await desk.api.result("topic_members", topic="news:sport"))["items"]
    assert item == {"user": "ann", "device": device, "subscribed_at": desk.world.clock.now().timestamp()}
    await desk.api.result("topic_unsubscribe", topic="news:sport", user="ann", device=device)
    assert await members(desk) == []


async def test_members_come_in_pages(desk):
    users = ["a:b", "ann", "bob", "cid", "ünø"]
    await desk.api.result("topic_subscribe", topic="news:sport", users=users)
    found, cursor = [], ""
    while True:
        page = await desk.api.result("topic_members", topic="news:sport", limit=2, cursor=cursor)
        found.append([item["user"] for item in page["items"]])
        if not (cursor := page["next_cursor"]):
            break
    assert found == [["a:b", "ann"], ["bob", "cid"], ["ünø"]]


async def test_topics_come_in_pages(desk):
    for topic in "abc":
        await desk.api.result("topic_create", topic=topic)
    first = await desk.api.result("topic_list", limit=2)
    assert first["next_cursor"] == "b"
    assert await topics(desk, limit=2, cursor="b") == ["c"]


@pytest.mark.parametrize(
    ("method", "request_", "message"),
    [
        ("topic_create", {"topic": ""}, "topic: must be 1 to 255 printable characters"),
        ("topic_create", {"topic": "a\n"}, "topic: must be 1 to 255 printable characters"),
        ("topic_create", {}, "topic"),
        ("topic_subscribe", {"topic": "t"}, "user: exactly one of user and users must be given"),
        ("topic_subscribe", {"topic": "t", "user": "a", "users": ["b"]}, "user: exactly one of user and users must be given"),
        ("topic_subscribe", {"topic": "t", "users": []}, "users: must hold 1 to 1000 users"),
        ("topic_subscribe", {"topic": "t", "users": ["a"] * 1001}, "users: must hold 1 to 1000 users"),
        ("topic_subscribe", {"topic": "t", "users": ["a", ""]}, "users[1]: must be 1 to 255 characters"),
        ("topic_subscribe", {"topic": "t", "user": "a" * 256}, "user: must be 1 to 255 characters"),
        ("topic_subscribe", {"topic": "t", "users": ["a"], "device": "d"}, "device: must only be given with user"),
        ("topic_subscribe", {"topic": "t", "user": "a", "device": "d"}, "device: must be a device of the user"),
        ("topic_subscribe", {"topic": "t", "user": "a", "devise": "d"}, "devise"),
        ("topic_unsubscribe", {"topic": "t", "users": "a"}, "users"),
        ("topic_members", {"topic": "t", "limit": 1001}, "limit: must be from 0 to 1000"),
        ("topic_list", {"limit": -1}, "limit: must be from 0 to 1000"),
    ],
)
async def test_what_is_refused(desk, method, request_, message):
    code, text = await desk.api.error(method, **request_)
    assert code == 107
    assert message in text
    assert await topics(desk) == []


async def test_clients_subscribe_themselves_where_they_may(desk):
    client = desk.world.connected("42")
    await desk.api.result("topic_create", topic="news:sport")
    assert await desk.rpc(client, "topic.subscribe", topic="news:sport") == {"rpc": {"data": {}}}
    assert await members(desk) == ["42"]
    listed = (await desk.rpc(client, "topic.list"))["rpc"]["data"]["items"]
    assert [item["topic"] for item in listed] == ["news:sport"]
    assert await desk.rpc(client, "topic.unsubscribe", topic="news:sport") == {"rpc": {"data": {}}}
    assert await members(desk) == []


async def test_clients_subscribe_nobody_else_and_make_no_topics(desk):
    client = desk.world.connected("42")
    await desk.api.result("topic_create", topic="news:sport")
    await desk.api.result("topic_create", topic="staff")
    for method in ("topic.subscribe", "topic.unsubscribe"):
        assert await desk.rpc(client, method, topic="staff") == DENIED
        for more in ({"user": "43"}, {"users": ["43"]}):
            reply = await desk.rpc(client, method, topic="news:sport", **more)
            assert reply["error"]["code"] == 107
    refused = await desk.rpc(client, "topic.subscribe", topic="news:weather")
    assert refused == {"error": {"code": 104, "message": "topic not found"}}
    assert await topics(desk) == ["news:sport", "staff"]
    assert await members(desk) == []


async def test_clients_subscribe_their_own_devices_only(desk):
    client = desk.world.connected("42")
    await desk.api.result("topic_create", topic="news:sport")
    own = (await desk.rpc(client, "devices.register", provider="fcm", token=FCM))["rpc"]["data"]["id"]
    other = (await desk.api.result("device_register", user="43", provider="fcm", token=f"{FCM}y"))["id"]
    assert await desk.rpc(client, "topic.subscribe", topic="news:sport", device=own) == {"rpc": {"data": {}}}
    assert (await desk.rpc(client, "topic.subscribe", topic="news:sport", device=other))["error"]["code"] == 107
