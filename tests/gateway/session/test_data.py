"""Publishing, history, recovery, presence, joins and leaves, RPC: the data operations as a client sees them."""

import pytest

STREAM = {
    "without_namespace": {
        "allow_subscribe_for_client": True,
        "allow_publish_for_subscriber": True,
        "allow_history_for_subscriber": True,
        "allow_presence_for_subscriber": True,
        "presence": True,
        "join_leave": True,
        "force_push_join_leave": True,
        "history_size": 5,
        "history_ttl": "60s",
        "force_recovery": True,
    }
}
PLAIN = {"without_namespace": {"allow_subscribe_for_client": True, "allow_publish_for_client": True}}


def subscribed(world, user="42", channel="a"):
    client = world.connected(user)
    client.send({"id": 2, "subscribe": {"channel": channel}})
    client.read()
    return client


def publish(client, data, channel="a"):
    return client.send({"id": 5, "publish": {"channel": channel, "data": data}})


def publications(messages):
    return [entry["push"]["pub"] for entry in messages if "pub" in entry.get("push", {})]


def recover(world, **position):
    client = world.connected("43")
    replies = client.send({"id": 2, "subscribe": {"channel": "a", "recover": True, **position}})
    return replies[0].get("subscribe") or replies[0]["error"]


async def test_a_publication_reaches_the_others_and_oneself(world):
    world = world(channel=PLAIN)
    one, other = subscribed(world, "1"), subscribed(world, "2")
    messages = publish(one, {"text": "hi"})
    assert {"id": 5, "publish": {}} in messages
    info = {"user": "1", "client": one.session.client.id}
    assert publications(messages) == [{"data": {"text": "hi"}, "info": info}]
    assert other.read() == [{"push": {"channel": "a", "pub": {"data": {"text": "hi"}, "info": info}}}]


async def test_payload_bytes_survive(world):
    world = world(channel=PLAIN)
    client = subscribed(world)
    raw = b'{"n":1.10000000000000000001,"z":1,"a":"\\u00e9","big":12345678901234567890123}'
    client.session.receive(b'{"id":5,"publish":{"channel":"a","data":' + raw + b"}}")
    world.node.turn.flush()
    assert raw in bytes(client.transport.written)


async def test_publishing_without_right_or_data(world):
    client = world(channel=STREAM).connected()
    assert publish(client, {})[0]["error"]["code"] == 103
    subscribe = client.send({"id": 2, "subscribe": {"channel": "a"}})
    assert subscribe[0]["id"] == 2
    (reply,) = client.send({"id": 5, "publish": {"channel": "a"}})
    assert reply["error"] == {"code": 107, "message": "bad request: data must not be empty"}
    assert publish(client, {}, channel="nowhere:a")[0]["error"]["code"] == 102


@pytest.mark.parametrize(
    ("form", "data", "is_fit"),
    [("json", 1, True), ("json_object", {}, True), ("json_object", [], False), ("binary", 1, True)],
)
async def test_publication_data_format(world, form, data, is_fit):
    options = {"allow_publish_for_client": True, "publication_data_format": form}
    client = world(channel={"without_namespace": options}).connected()
    assert ("publish" in publish(client, data)[0]) is is_fit


async def test_server_side_subscription_counts_as_subscribed(world):
    client = world(channel={"without_namespace": {"allow_publish_for_subscriber": True}}).connected("42")
    assert {"id": 5, "publish": {}} in publish(client, {}, channel="#42")


async def test_first_subscribe_tells_the_top(world):
    world = world(channel=STREAM)
    publisher = subscribed(world)
    publish(publisher, 1)
    late = world.connected("43")
    result = late.send({"id": 2, "subscribe": {"channel": "a"}})[0]["subscribe"]
    assert (result["offset"], result["positioned"], result["recoverable"]) == (1, True, True)
    assert "recovered" not in result
    assert "publications" not in result


async def test_offsets_and_the_epoch_of_the_first(world):
    client = subscribed(world(channel=STREAM))
    first, second = publications(publish(client, 1)), publications(publish(client, 2))
    assert first[0]["offset"] == 1
    assert first[0]["epoch"]
    assert second[0]["offset"] == 2
    assert "epoch" not in second[0]


async def test_recovery_gives_what_was_missed(world):
    world = world(channel=STREAM)
    publisher = subscribed(world)
    for number in range(1, 5):
        publish(publisher, number)
    result = recover(world, offset=2)
    assert (result["recovered"], result["was_recovering"], result["offset"]) == (True, True, 2)
    assert [entry["data"] for entry in result["publications"]] == [3, 4]


async def test_recovery_at_the_top(world):
    world = world(channel=STREAM)
    publish(subscribed(world), 1)
    result = recover(world, offset=1)
    assert (result["recovered"], result["offset"]) == (True, 1)
    assert "publications" not in result


@pytest.mark.parametrize(
    "position",
    [{"offset": 1}, {"offset": 99}, {"offset": 8, "epoch": "other"}, {"offset": 0}],
    ids=["evicted", "above the top", "another epoch", "from the start, evicted"],
)
async def test_recovery_that_cannot_be(world, position):
    world = world(channel=STREAM)
    publisher = subscribed(world)
    for number in range(10):
        publish(publisher, number)
    result = recover(world, **position)
    assert "recovered" not in result
    assert result["was_recovering"] is True
    assert result["offset"] == 10
    assert "publications" not in result
    assert recover(world, flag=2, **position)["code"] == 112


async def test_recovery_over_the_limit(world):
    world = world(channel=STREAM, client={"recovery_max_publication_limit": 2})
    publisher = subscribed(world)
    for number in range(4):
        publish(publisher, number)
    assert "recovered" not in recover(world, offset=1)
    assert recover(world, offset=2)["recovered"] is True


async def test_recovery_after_the_history_has_expired(world):
    world = world(channel=STREAM)
    publish(subscribed(world), 1)
    world.clock.move(61)
    assert "recovered" not in recover(world, offset=0)
    assert recover(world, offset=1)["recovered"] is True


async def test_cache_recovery_gives_the_newest(world):
    options = {**STREAM["without_namespace"], "force_recovery_mode": "cache", "auto_cache_recover": True}
    world = world(channel={"without_namespace": options})
    publisher = subscribed(world)
    publish(publisher, 1)
    publish(publisher, 2)
    late = world.connected("43")
    result = late.send({"id": 2, "subscribe": {"channel": "a"}})[0]["subscribe"]
    assert (result["recovered"], result["was_recovering"]) == (True, True)
    assert [entry["data"] for entry in result["publications"]] == [2]


async def test_history(world):
    world = world(channel=STREAM)
    client = subscribed(world)
    for number in range(1, 8):
        publish(client, number)

    def ask(**request):
        (reply,) = client.send({"id": 6, "history": {"channel": "a", **request}})
        return reply.get("error", {}).get("code") or [entry["data"] for entry in reply["history"]["publications"]]

    assert ask() == []
    assert ask(limit=2) == [3, 4]
    assert ask(limit=-1) == [3, 4, 5, 6, 7]
    assert ask(limit=2, reverse=True) == [7, 6]
    assert ask(limit=10, since={"offset": 5}) == [6, 7]
    assert ask(limit=10, since={"offset": 6}, reverse=True) == [5, 4, 3]
    assert ask(limit=10, since={"offset": 5, "epoch": "other"}) == 112
    assert ask(limit=1, since={"offset": 0}, reverse=True) == 107
    (reply,) = client.send({"id": 6, "history": {"channel": "a"}})
    assert set(reply["history"]) == {"publications", "offset", "epoch"}


async def test_history_is_capped_for_clients(world):
    client = subscribed(world(channel=STREAM, client={"history_max_publication_limit": 3}))
    for number in range(5):
        publish(client, number)
    (reply,) = client.send({"id": 6, "history": {"channel": "a", "limit": -1}})
    assert len(reply["history"]["publications"]) == 3


async def test_history_and_presence_off_or_not_allowed(world):
    options = {
        "without_namespace": {},
        "namespaces": [{"name": "shut", "presence": True, "history_size": 1, "history_ttl": "1s"}],
    }
    client = world(channel=options).connected()

    def code(kind, channel):
        return client.send({"id": 6, kind: {"channel": channel}})[0]["error"]["code"]

    for kind in ("history", "presence"):
        assert code(kind, "a") == 108
        assert code(kind, "shut:a") == 103
        assert code(kind, "nowhere:a") == 102


async def test_presence(world):
    world = world(channel=STREAM)
    one, two = subscribed(world, "1"), subscribed(world, "1")
    (reply,) = [entry for entry in one.send({"id": 6, "presence": {"channel": "a"}}) if "presence" in entry]
    ids = {one.session.client.id, two.session.client.id}
    assert set(reply["presence"]["presence"]) == ids
    stats = [entry for entry in one.send({"id": 6, "presence_stats": {"channel": "a"}}) if "presence_stats" in entry]
    assert stats == [{"id": 6, "presence_stats": {"num_clients": 2, "num_users": 1}}]
    two.send({"id": 7, "unsubscribe": {"channel": "a"}})
    (reply,) = [entry for entry in one.send({"id": 6, "presence": {"channel": "a"}}) if "presence" in entry]
    assert set(reply["presence"]["presence"]) == {one.session.client.id}


async def test_own_join_comes_after_the_reply_and_own_leave_never(world):
    world = world(channel=STREAM)
    watcher = subscribed(world, "1")
    client = world.connected("2")
    reply, join = client.send({"id": 2, "subscribe": {"channel": "a"}})
    assert reply["id"] == 2
    assert join["push"]["join"]["info"]["user"] == "2"
    assert watcher.read()[0]["push"]["join"]["info"]["user"] == "2"
    assert client.send({"id": 3, "unsubscribe": {"channel": "a"}}) == [{"id": 3, "unsubscribe": {}}]
    assert watcher.read() == [{"push": {"channel": "a", "leave": {"info": {"user": "2", "client": client.session.client.id}}}}]


async def test_joins_are_pushed_to_those_who_asked(world):
    options = {**STREAM["without_namespace"], "force_push_join_leave": False}
    world = world(channel={"without_namespace": options})
    asking, silent = world.connected("1"), world.connected("2")
    asking.send({"id": 2, "subscribe": {"channel": "a", "join_leave": True}})
    silent.send({"id": 2, "subscribe": {"channel": "a"}})
    asking.read()
    subscribed(world, "3")
    assert [entry["push"]["join"]["info"]["user"] for entry in asking.read()] == ["3"]
    assert silent.read() == []


async def test_rpc(world):
    async def echo(user, data):
        return b'{"user":"' + user.encode() + b'","data":' + data + b"}"

    client = world(rpc_methods={"echo": echo}).connected("42")
    (reply,) = client.send({"id": 2, "rpc": {"method": "echo", "data": [1]}})
    assert reply == {"id": 2, "rpc": {"data": {"user": "42", "data": [1]}}}
    (reply,) = client.send({"id": 3, "rpc": {"method": "unknown"}})
    assert reply["error"]["code"] == 108


async def test_rpc_ping(world):
    client = world(rpc={"ping": {"enabled": True}}).connected()
    assert client.send({"id": 2, "rpc": {"method": "ping"}}) == [{"id": 2, "rpc": {}}]
    assert client.send({"id": 2, "rpc": {"method": "other"}})[0]["error"]["code"] == 108


async def test_a_reply_always_precedes_publications_of_its_channel(world):
    world = world(channel=STREAM)
    publisher = subscribed(world)
    client = world.connected("43")
    # All in one turn: what is published before the subscribe must not reach the newcomer, what comes after must.
    publisher.session.receive(b'{"id":5,"publish":{"channel":"a","data":"before"}}')
    client.session.receive(b'{"id":2,"subscribe":{"channel":"a"}}')
    publisher.session.receive(b'{"id":6,"publish":{"channel":"a","data":"after"}}')
    messages = [entry for entry in client.read() if "join" not in entry.get("push", {})]
    assert messages[0]["subscribe"]["offset"] == 1
    assert [entry["data"] for entry in publications(messages)] == ["after"]
    assert [entry["data"] for entry in publications(publisher.read())] == ["before", "after"]
