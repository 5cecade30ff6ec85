"""Deltas on the wire: full first, then patches of the one before; and what is filtered by tags."""

import json

import pytest

from broker.channels import publish_options
from broker.model import Publication
from gateway.protocol.delta import apply

STREAM = {
    "without_namespace": {
        "allow_subscribe_for_client": True,
        "history_size": 10,
        "history_ttl": "300s",
        "force_recovery": True,
        "allowed_delta_types": ["fossil"],
        "delta_publish": True,
        "allow_tags_filter": True,
    }
}
TEXT = "the same text in every publication, long enough that a patch is worth its while: ü"


def subscribed(world, **request):
    client = world.connected("1")
    (reply,) = client.send({"id": 2, "subscribe": {"channel": "a", **request}})
    client.result = reply["subscribe"]
    return client


async def publish(world, number, *, tags=None, keep=True, delta=True):
    data = json.dumps({"n": number, "text": TEXT}, ensure_ascii=False).encode()
    kept = publish_options(world.node.rules.options("a"), skip_history=not keep)
    await world.engine.pubsub.publish("a", Publication(data, tags=tags or {}, delta=delta), kept)


def pubs(client):
    return [entry["push"]["pub"] for entry in client.read() if "pub" in entry.get("push", {})]


def decode(publications, base=b""):
    """Decode as an SDK does: each patch against the publication received before it."""
    numbers = []
    for pub in publications:
        assert isinstance(pub["data"], str)
        base = apply(base, pub["data"].encode()) if pub.get("delta") else pub["data"].encode()
        numbers.append(json.loads(base)["n"])
    return numbers


async def test_the_first_is_full_and_the_next_are_patches(world):
    world = world(channel=STREAM)
    client = subscribed(world, delta="fossil")
    assert client.result["delta"] is True
    got = []
    for number in range(3):
        await publish(world, number)
        got += pubs(client)
    assert [pub.get("delta", False) for pub in got] == [False, True, True]
    assert decode(got) == [0, 1, 2]
    assert len(got[1]["data"]) < len(got[0]["data"]) / 2


async def test_several_in_one_turn_are_a_chain_too(world):
    world = world(channel=STREAM)
    client = subscribed(world, delta="fossil")
    for number in range(3):
        await publish(world, number)
    got = pubs(client)
    assert [pub.get("delta", False) for pub in got] == [False, True, True]
    assert decode(got) == [0, 1, 2]


async def test_a_late_one_begins_with_a_full_one(world):
    world = world(channel=STREAM)
    early = subscribed(world, delta="fossil")
    await publish(world, 0)
    first = pubs(early)
    late = subscribed(world, delta="fossil")
    await publish(world, 1)
    await publish(world, 2)
    assert decode(first + pubs(early)) == [0, 1, 2]
    got = pubs(late)
    assert [pub.get("delta", False) for pub in got] == [False, True]
    assert decode(got) == [1, 2]


async def test_without_negotiation_data_stays_raw(world):
    world = world(channel=STREAM)
    client = subscribed(world)
    assert "delta" not in client.result
    await publish(world, 0)
    (pub,) = pubs(client)
    assert pub["data"] == {"n": 0, "text": TEXT}


async def test_where_the_channel_allows_none_data_stays_raw(world):
    options = {**STREAM["without_namespace"], "allowed_delta_types": []}
    world = world(channel={"without_namespace": options})
    client = subscribed(world, delta="fossil")
    assert "delta" not in client.result
    await publish(world, 0)
    assert pubs(client)[0]["data"] == {"n": 0, "text": TEXT}


async def test_what_is_no_candidate_or_in_no_stream_is_full(world):
    world = world(channel=STREAM)
    client = subscribed(world, delta="fossil")
    await publish(world, 0)
    await publish(world, 1, delta=False)
    await publish(world, 2)
    await publish(world, 3, keep=False)
    await publish(world, 4)
    await publish(world, 5)
    got = pubs(client)
    assert [pub.get("delta", False) for pub in got] == [False, False, True, False, False, True]
    assert decode(got) == [0, 1, 2, 3, 4, 5]


async def test_recovered_ones_are_a_chain(world):
    world = world(channel=STREAM)
    subscribed(world)
    for number in range(4):
        await publish(world, number)
    client = subscribed(world, delta="fossil", recover=True, offset=1)
    recovered = client.result["publications"]
    assert [pub.get("delta", False) for pub in recovered] == [False, True, True]
    assert decode(recovered) == [1, 2, 3]
    await publish(world, 4)
    assert decode(pubs(client)) == [4]


async def test_a_filter_drops_and_positions_stay_right(world):
    world = world(channel=STREAM)
    client = subscribed(world, tf={"key": "kind", "cmp": "eq", "val": "goal"})
    for number, kind in enumerate(["goal", "card", "goal"]):
        await publish(world, number, tags={"kind": kind})
    got = pubs(client)
    assert [(pub["data"]["n"], pub["offset"]) for pub in got] == [(0, 1), (2, 3)]
    assert client.closed is None


@pytest.mark.parametrize("tf", [{"key": "a", "cmp": "like", "val": "b"}, {"op": "and"}, {"cmp": "eq", "val": "x"}])
async def test_a_malformed_filter_is_a_bad_request(world, tf):
    client = world(channel=STREAM).connected()
    (reply,) = client.send({"id": 2, "subscribe": {"channel": "a", "tf": tf}})
    assert reply["error"]["code"] == 107
    assert reply["error"]["message"].startswith("bad request: tf: ")


async def test_a_filter_where_none_is_allowed(world):
    options = {**STREAM["without_namespace"], "allow_tags_filter": False}
    client = world(channel={"without_namespace": options}).connected()
    (reply,) = client.send({"id": 2, "subscribe": {"channel": "a", "tf": {"key": "a", "cmp": "ex"}}})
    assert reply["error"] == {"code": 107, "message": "bad request: tf is not allowed in this channel"}
