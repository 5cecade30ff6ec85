"""Channels on a fleet: what is done on one node is seen on the other, over a real Valkey."""

import asyncio
import uuid

import pytest

pytestmark = [pytest.mark.redis, pytest.mark.postgres]


def fresh(prefix="fleet"):
    return f"{prefix}-{uuid.uuid4().hex[:8]}"


@pytest.fixture
def join(fleet, wire):
    """Connect a user to a node, and subscribe where a channel is told; gives the client and the reply to subscribe."""

    async def connect(node, user, channel="", **wishes):
        client = await wire(node, token=fleet.token(user))
        reply = await client.ask(subscribe={"channel": channel, **wishes}) if channel else {}
        return client, reply.get("subscribe", {})

    return connect


async def payloads(client, channel, count):
    return [(await client.pushed(channel, "pub"))["data"] for _ in range(count)]


async def test_a_publication_reaches_the_subscribers_of_both_nodes(fleet, join):
    channel = fresh()
    one, _ = await join(fleet.one, "ann", channel)
    two, _ = await join(fleet.two, "bob", channel)
    first = fleet.one.call("publish", channel=channel, data={"n": 1})
    second = fleet.two.call("publish", channel=channel, data={"n": 2})
    await one.ask(publish={"channel": channel, "data": {"n": 3}})
    await two.ask(publish={"channel": channel, "data": {"n": 4}})
    assert (second["offset"], second["epoch"]) == (first["offset"] + 1, first["epoch"])
    for client in (one, two):
        got = [await client.pushed(channel, "pub") for _ in range(4)]
        assert [entry["data"]["n"] for entry in got] == [1, 2, 3, 4]
        assert [entry["offset"] for entry in got] == [1, 2, 3, 4]
        assert [entry.get("info", {}).get("user") for entry in got] == [None, None, "ann", "bob"]


async def test_broadcast_and_batch_reach_the_other_node(fleet, join):
    channels = [fresh() for _ in range(3)]
    client, _ = await join(fleet.two, "ann", channels[0])
    for channel in channels[1:]:
        await client.ask(subscribe={"channel": channel})
    fleet.one.call("broadcast", channels=channels, data={"n": 1})
    commands = [{"publish": {"channel": channel, "data": {"n": n}}} for n in (2, 3) for channel in channels]
    replies = fleet.one.post("batch", {"commands": commands}).raise_for_status().json()["replies"]
    assert [reply["publish"]["offset"] for reply in replies] == [2] * 3 + [3] * 3
    for channel in channels:
        assert await payloads(client, channel, 3) == [{"n": 1}, {"n": 2}, {"n": 3}]


async def test_a_publication_without_history_reaches_the_other_node(fleet, join):
    channel = fresh()
    client, _ = await join(fleet.two, "ann", channel)
    assert fleet.one.call("publish", channel=channel, data="passing", skip_history=True) == {}
    assert await payloads(client, channel, 1) == ["passing"]
    assert fleet.two.call("history", channel=channel, limit=-1)["publications"] == []


async def test_history_is_one_for_both_nodes(fleet):
    channel = fresh()
    for number, node in enumerate((fleet.one, fleet.two, fleet.one)):
        node.call("publish", channel=channel, data=number)
    read = [node.call("history", channel=channel, limit=-1) for node in (fleet.one, fleet.two)]
    assert read[0] == read[1]
    assert [entry["data"] for entry in read[0]["publications"]] == [0, 1, 2]
    fleet.one.call("history_remove", channel=channel)
    assert fleet.two.call("history", channel=channel, limit=-1)["publications"] == []


async def test_a_client_recovers_on_the_other_node_what_it_missed(fleet, join):
    channel = fresh()
    client, subscribed = await join(fleet.one, "ann", channel)
    fleet.two.call("publish", channel=channel, data=1)
    offset = (await client.pushed(channel, "pub"))["offset"]
    await client.socket.close()
    for number in (2, 3, 4):
        fleet.one.call("publish", channel=channel, data=number)
    client, subscribed = await join(fleet.two, "ann", channel, recover=True, offset=offset, epoch=subscribed["epoch"])
    assert subscribed["recovered"] is True
    assert [entry["data"] for entry in subscribed["publications"]] == [2, 3, 4]
    fleet.one.call("publish", channel=channel, data=5)
    assert await payloads(client, channel, 1) == [5]


async def test_presence_joins_and_leaves_are_seen_across_nodes(fleet, join):
    channel = fresh()
    watcher, _ = await join(fleet.one, "ann", channel, join_leave=True)
    comer, _ = await join(fleet.two, "bob", channel)
    again, _ = await join(fleet.two, "bob", channel)
    while (await watcher.pushed(channel, "join"))["info"]["user"] != "bob":
        pass
    members = (await watcher.ask(presence={"channel": channel}))["presence"]["presence"]
    assert sorted(member["user"] for member in members.values()) == ["ann", "bob", "bob"]
    for node in (fleet.one, fleet.two):
        assert node.call("presence", channel=channel)["presence"] == members
        assert node.call("presence_stats", channel=channel) == {"num_clients": 3, "num_users": 2}
    await comer.ask(unsubscribe={"channel": channel})
    await again.socket.close()
    assert [(await watcher.pushed(channel, "leave"))["info"]["user"] for _ in range(2)] == ["bob", "bob"]
    await fleet.one.until(lambda: len(fleet.one.call("presence", channel=channel)["presence"]) == 1, "ann alone")


async def test_info_lists_both_nodes_with_what_each_holds(fleet, join):
    await join(fleet.two, "ann", fresh())
    both = {node.url.rpartition("/")[2]: node.process.pid for node in (fleet.one, fleet.two)}
    for asked in (fleet.one, fleet.two):
        nodes = {node["name"]: node for node in asked.call("info")["nodes"]}
        assert {name: nodes[name]["process"]["pid"] for name in both} == both
        assert nodes[fleet.two.url.rpartition("/")[2]]["num_clients"] >= 1


async def test_channels_and_connections_count_both_nodes(fleet, join):
    prefix, user = fresh("counted"), fresh("user")
    shared = f"{prefix}-shared"
    await join(fleet.one, user, shared)
    two, _ = await join(fleet.two, user, shared)
    await two.ask(subscribe={"channel": f"{prefix}-two"})
    for node in (fleet.one, fleet.two):
        counted = node.call("channels", pattern=f"{prefix}-*")["channels"]
        assert counted == {shared: {"num_clients": 2}, f"{prefix}-two": {"num_clients": 1}}
        connections = node.call("connections", user=user)["connections"].values()
        assert sorted(sorted(entry["state"]["channels"]) for entry in connections) == [
            [f"#{user}", shared],
            [f"#{user}", shared, f"{prefix}-two"],
        ]


async def test_an_idempotency_key_counts_on_both_nodes(fleet, join):
    channel = fresh()
    client, _ = await join(fleet.one, "ann", channel)
    body = {"channel": channel, "data": "once", "idempotency_key": "k"}
    first = fleet.one.call("publish", **body)
    assert fleet.two.call("publish", **body) == first
    fleet.two.call("publish", channel=channel, data="last")
    assert await payloads(client, channel, 2) == ["once", "last"]


async def test_an_idempotency_key_counts_on_both_nodes_without_history(fleet, join):
    channel = fresh()
    client, _ = await join(fleet.one, "ann", channel)
    body = {"channel": channel, "data": "once", "idempotency_key": "k", "skip_history": True}
    for node in (fleet.one, fleet.two, fleet.one):
        node.call("publish", **body)
    fleet.two.call("publish", channel=channel, data="last")
    assert await payloads(client, channel, 2) == ["once", "last"]


async def test_a_version_that_one_node_took_is_old_on_the_other(fleet, join):
    channel = fresh()
    client, _ = await join(fleet.one, "ann", channel)
    newer = fleet.one.call("publish", channel=channel, data=7, version=7, version_epoch="a")
    for version in (6, 7):
        older = fleet.two.call("publish", channel=channel, data=version, version=version, version_epoch="a")
        assert older == newer
    fleet.two.call("publish", channel=channel, data=8, version=8, version_epoch="a")
    fleet.one.call("publish", channel=channel, data=1, version=1, version_epoch="b")
    assert await payloads(client, channel, 3) == [7, 8, 1]


async def test_many_publishers_on_both_nodes_make_one_order(fleet, join):
    channel = fresh()
    clients = [(await join(node, "ann", channel))[0] for node in (fleet.one, fleet.two)]
    publishers = [(await join(node, "bob"))[0] for node in (fleet.one, fleet.two, fleet.one, fleet.two)]

    async def publish(publisher, name):
        for number in range(25):
            await publisher.ask(publish={"channel": channel, "data": [name, number]})

    await asyncio.gather(*(publish(publisher, name) for name, publisher in enumerate(publishers)))
    seen = [[await client.pushed(channel, "pub") for _ in range(100)] for client in clients]
    assert seen[0] == seen[1]
    assert [entry["offset"] for entry in seen[0]] == list(range(1, 101))
    for name in range(4):
        assert [entry["data"][1] for entry in seen[0] if entry["data"][0] == name] == list(range(25))
