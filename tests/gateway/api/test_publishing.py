"""`publish` and `broadcast`: what is delivered and kept, and what the answer says of it."""

import base64

import pytest

KEPT = {"history_size": 5, "history_ttl": "60s", "allow_subscribe_for_client": True, "allow_history_for_client": True}
CHANNELS = {
    "without_namespace": {"allow_subscribe_for_client": True},
    "namespaces": [
        {"name": "kept", **KEPT, "force_recovery": True},
        {"name": "object", "publication_data_format": "json_object"},
        {"name": "json", "publication_data_format": "json"},
        {"name": "binary", **KEPT, "publication_data_format": "binary", "force_recovery": True},
    ],
}


def subscribed(world, channel):
    client = world.connected("42")
    client.send({"id": 2, "subscribe": {"channel": channel}})
    client.read()
    return client


def publications(client):
    return [entry["push"]["pub"] for entry in client.read() if "pub" in entry.get("push", {})]


def b64(data):
    return base64.b64encode(data).decode()


async def test_publish_without_history(world, api):
    world = world(channel=CHANNELS)
    client = subscribed(world, "a")
    assert await api(world).result("publish", channel="a", data={"n": 1}) == {}
    assert publications(client) == [{"data": {"n": 1}}]


async def test_publish_with_history_tells_offset_and_epoch(world, api):
    world = world(channel=CHANNELS)
    client, api = subscribed(world, "kept:a"), api(world)
    first = await api.result("publish", channel="kept:a", data=1)
    second = await api.result("publish", channel="kept:a", data=2)
    assert first == {"offset": 1, "epoch": second["epoch"]}
    assert second["offset"] == 2
    assert publications(client) == [{"data": 1, "offset": 1, "epoch": first["epoch"]}, {"data": 2, "offset": 2}]


async def test_skip_history_delivers_without_offset(world, api):
    world = world(channel=CHANNELS)
    client, api = subscribed(world, "kept:a"), api(world)
    assert await api.result("publish", channel="kept:a", data=1, skip_history=True) == {}
    assert publications(client) == [{"data": 1}]
    assert (await api.result("history", channel="kept:a", limit=10))["publications"] == []


async def test_tags_travel_and_are_kept(world, api):
    world = world(channel=CHANNELS)
    client, api = subscribed(world, "kept:a"), api(world)
    await api.result("publish", channel="kept:a", data=1, tags={"kind": "x", "empty": ""})
    assert publications(client)[0]["tags"] == {"kind": "x", "empty": ""}
    history = await api.result("history", channel="kept:a", limit=1)
    assert history["publications"][0]["tags"] == {"kind": "x", "empty": ""}


async def test_unknown_fields_are_ignored(world, api):
    assert await api(world()).result("publish", channel="a", data=1, delta=True, nonsense={"a": [1]}) == {}


async def test_b64data_wins_over_data(world, api):
    world = world(channel=CHANNELS)
    client = subscribed(world, "a")
    await api(world).result("publish", channel="a", data=1, b64data=b64(b'{"from":"base64"}'))
    assert publications(client) == [{"data": {"from": "base64"}}]


async def test_payload_bytes_survive_but_for_newlines(world, api):
    world = world(channel=CHANNELS)
    client = subscribed(world, "kept:a")
    raw = b'{"n":1.10000000000000000001,\n "z":1,\r\n"a":"\\u00e9\\n","big":12345678901234567890123}'
    await api(world).post("publish", b'{"channel":"kept:a","data":%s}' % raw)
    world.node.turn.flush()
    assert raw.replace(b"\n", b"") in bytes(client.transport.written)


async def test_null_is_a_payload(world, api):
    world = world(channel=CHANNELS)
    client = subscribed(world, "a")
    assert await api(world).result("publish", channel="a", data=None) == {}
    assert publications(client) == [{"data": None}]


@pytest.mark.parametrize(
    ("request_", "error"),
    [
        ({"data": 1}, (107, "bad request: channel must not be empty")),
        ({"channel": "", "data": 1}, (107, "bad request: channel must not be empty")),
        ({"channel": "nowhere:a", "data": 1}, (102, "unknown channel")),
        ({"channel": "a"}, (107, "bad request: data must not be empty")),
        ({"channel": "a", "b64data": "?"}, (107, "bad request: b64data must be base64")),
        ({"channel": "a", "b64data": "YQ"}, (107, "bad request: b64data must be base64")),
        ({"channel": "a", "b64data": "ä"}, (107, "bad request: b64data must be base64")),
        ({"channel": "object:a", "data": 1}, (107, "bad request: data must be a JSON object")),
        ({"channel": "object:a", "b64data": b64(b"{")}, (107, "bad request: data must be a JSON object")),
        ({"channel": "json:a", "b64data": b64(b"\x00")}, (107, "bad request: data must be JSON")),
        ({"channel": "json:a", "b64data": b64(b"[" * 50_000 + b"]" * 50_000)}, (107, "bad request: data is nested too deep")),
        ({"channel": "a", "b64data": b64(b"[" * 50_000 + b"]" * 50_000)}, (107, "bad request: data is nested too deep")),
    ],
)
async def test_what_cannot_be_published(world, api, request_, error):
    assert await api(world(channel=CHANNELS)).error("publish", **request_) == error


async def test_the_api_does_not_check_names(world, api):
    # A client could not subscribe to these; a server may.
    for channel in ("x" * 300, "kanäle", "$private", "#42"):
        assert await api(world()).result("publish", channel=channel, data=1) == {}


async def test_an_idempotency_key_counts_once_per_channel(world, api):
    world = world(channel=CHANNELS)
    one, other, api = subscribed(world, "kept:a"), subscribed(world, "kept:b"), api(world)
    first = await api.result("publish", channel="kept:a", data=1, idempotency_key="k")
    await api.result("publish", channel="kept:a", data=2)
    again = await api.result("publish", channel="kept:a", data=3, idempotency_key="k")
    assert again == first == {"offset": 1, "epoch": first["epoch"]}
    assert [entry["data"] for entry in publications(one)] == [1, 2]
    await api.result("publish", channel="kept:b", data=4, idempotency_key="k")
    assert [entry["data"] for entry in publications(other)] == [4]
    world.clock.move(301)
    assert (await api.result("publish", channel="kept:a", data=5, idempotency_key="k"))["offset"] == 3


async def test_an_idempotency_key_counts_without_history_too(world, api):
    world = world(channel=CHANNELS)
    client, api = subscribed(world, "a"), api(world)
    for _ in range(2):
        assert await api.result("publish", channel="a", data=1, idempotency_key="k") == {}
    assert publications(client) == [{"data": 1}]


async def test_old_versions_are_dropped(world, api):
    world = world(channel=CHANNELS)
    client, api = subscribed(world, "kept:a"), api(world)
    top = await api.result("publish", channel="kept:a", data=1, version=5, version_epoch="e")
    for version, epoch in ((5, "e"), (4, "e"), (5, ""), (1, "")):
        assert await api.result("publish", channel="kept:a", data=2, version=version, version_epoch=epoch) == top
    assert (await api.result("publish", channel="kept:a", data=3, version=1, version_epoch="f"))["offset"] == 2
    assert (await api.result("publish", channel="kept:a", data=4, version=2, version_epoch="f"))["offset"] == 3
    assert [entry["data"] for entry in publications(client)] == [1, 3, 4]


async def test_broadcast_answers_per_channel_in_order(world, api):
    world = world(channel=CHANNELS)
    client = subscribed(world, "kept:a")
    channels = ["kept:a", "nowhere:a", "a", "", "object:a"]
    result = await api(world).result("broadcast", channels=channels, data=7)
    assert result["responses"] == [
        {"result": {"offset": 1, "epoch": result["responses"][0]["result"]["epoch"]}},
        {"error": {"code": 102, "message": "unknown channel"}},
        {"result": {}},
        {"error": {"code": 107, "message": "bad request: channels must not hold an empty name"}},
        {"error": {"code": 107, "message": "bad request: data must be a JSON object"}},
    ]
    assert [entry["data"] for entry in publications(client)] == [7]


async def test_broadcast_is_idempotent_per_channel(world, api):
    api = api(world(channel=CHANNELS))
    await api.result("publish", channel="kept:a", data=1, idempotency_key="k")
    result = await api.result("broadcast", channels=["kept:a", "kept:b"], data=2, idempotency_key="k")
    assert [response["result"]["offset"] for response in result["responses"]] == [1, 1]
    kept = [await api.result("history", channel=channel, limit=5) for channel in ("kept:a", "kept:b")]
    assert [[entry["data"] for entry in history["publications"]] for history in kept] == [[1], [2]]


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        ({"data": 1}, "bad request: channels must name at least one channel"),
        ({"channels": [], "data": 1}, "bad request: channels must name at least one channel"),
        ({"channels": ["a"], "b64data": "?"}, "bad request: b64data must be base64"),
    ],
)
async def test_what_cannot_be_broadcast(world, api, request_, message):
    assert await api(world()).error("broadcast", **request_) == (107, message)


async def test_bytes_that_are_no_json_end_json_clients_only(world, api):
    world = world(channel=CHANNELS)
    client, bystander, api = subscribed(world, "a"), subscribed(world, "kept:a"), api(world)
    assert await api.result("publish", channel="a", b64data=b64(b"\x00\x01")) == {}
    client.read()
    assert client.closed == (3506, "inappropriate protocol")
    await api.result("publish", channel="kept:a", data=1)
    assert [entry["data"] for entry in publications(bystander)] == [1]


@pytest.mark.parametrize("data", [b"\x00\x01", b"\xff", b'"\xff"', b""])
async def test_a_stream_with_bytes_that_are_no_json_never_reaches_a_json_client(world, api, data):
    world = world(channel=CHANNELS)
    opened = api(world)
    await opened.result("publish", channel="binary:a", b64data=b64(data))
    recovering = world.connected("42")
    request = {"channel": "binary:a", "recover": True, "epoch": "", "offset": 0}
    assert recovering.send({"id": 2, "subscribe": request}) == []
    assert recovering.closed == (3506, "inappropriate protocol")
    asking = world.connected("42")
    assert asking.send({"id": 2, "history": {"channel": "binary:a", "limit": 1}}) == []
    assert asking.closed == (3506, "inappropriate protocol")
    statistics = world.node.hub.statistics()
    assert (statistics.clients, statistics.rooms) == (0, 0)
    # The API can tell them all the same.
    history = await opened.result("history", channel="binary:a", limit=1)
    kept = {"b64data": b64(data), "offset": 1} if data else {"offset": 1}
    assert history["publications"] == [kept]
