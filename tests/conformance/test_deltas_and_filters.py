"""PROTOCOL.md §5.6 and §5.7: deltas as centrifuge-python's own decoder reads them, and filters by tags."""

import json

import pytest
from centrifuge.fossil import apply_delta

LONG = "the same long text in every publication, so that a patch is worth its while: " * 4


def version(number, text=LONG):
    return {"text": text, "n": number}


@pytest.fixture
async def peer(strict, connected, user):
    return await connected(strict, user)


class Chain:
    """What a client with deltas makes of what it gets."""

    def __init__(self):
        self.base = b""

    def take(self, publication):
        data = publication["data"]
        assert isinstance(data, str)
        self.base = apply_delta(self.base, data.encode()) if publication.get("delta") else data.encode()
        return json.loads(self.base)


async def test_p56_deltas_over_json(strict, peer, channel):
    """P-56: delta: one full then deltas, decoded equal; recovered ones are a chain as well."""
    name, chain = channel("kept"), Chain()
    result = await peer.subscribe(name, delta="fossil")
    assert result["delta"] is True
    deltas = []
    for number in range(1, 5):
        strict.call("publish", channel=name, data=version(number))
        publication = await peer.publication(name)
        deltas.append(publication.get("delta", False))
        assert chain.take(publication) == version(number)
    assert deltas == [False, True, True, True]
    await peer.result(unsubscribe={"channel": name})
    recovered = await peer.subscribe(name, delta="fossil", recover=True, offset=1, epoch=result["epoch"])
    fresh = Chain()
    assert [fresh.take(entry) for entry in recovered["publications"]] == [version(number) for number in (2, 3, 4)]
    assert [entry.get("delta", False) for entry in recovered["publications"]] == [False, True, True]
    strict.call("publish", channel=name, data=version(5))
    assert fresh.take(await peer.publication(name)) == version(5)


async def test_p56_deltas_over_protobuf(strict, open_protobuf, user, channel):
    """P-56: the same as bytes in Protobuf."""
    peer, name = await open_protobuf(strict), channel("kept")
    await peer.send(
        {"id": 1, "connect": {"token": strict.token(user)}}, {"id": 2, "subscribe": {"channel": name, "delta": "fossil"}}
    )
    assert (await peer.until(lambda reply: reply.id == 2)).subscribe.delta is True
    base, deltas = b"", []
    for number in range(1, 4):
        strict.call("publish", channel=name, data=version(number))
        pub = (await peer.until(lambda reply: reply.push.HasField("pub"))).push.pub
        base = apply_delta(base, pub.data) if pub.delta else pub.data
        deltas.append(pub.delta)
        assert json.loads(base) == version(number)
    assert deltas == [False, True, True]


async def test_p57_a_string_with_delta_and_raw_without(strict, connected, peer, user, channel):
    """P-57: delta JSON data is a string, raw without delta, in one room at the same time."""
    other, name = await connected(strict, f"{user}-other"), channel("kept")
    await peer.subscribe(name, delta="fossil")
    assert "delta" not in await other.subscribe(name)
    for number in (1, 2):
        strict.call("publish", channel=name, data=version(number))
        assert isinstance((await peer.publication(name))["data"], str)
        plain = await other.publication(name)
        assert plain["data"] == version(number)
        assert "delta" not in plain
    history = await peer.result(history={"channel": name, "limit": 2})
    assert [entry["data"] for entry in history["publications"]] == [version(1), version(2)]


async def test_p57_where_it_is_not_allowed(strict, peer, channel):
    """P-57 with §5.6: not allowed: field absent, full data."""
    name = channel("short")
    assert "delta" not in await peer.subscribe(name, delta="fossil")
    strict.call("publish", channel=name, data=version(1))
    assert (await peer.publication(name))["data"] == version(1)


async def test_p58_multi_byte_text(strict, peer, channel):
    """P-58: multi-byte text survives delta over JSON, wherever a patch would cut."""
    name, chain = channel("kept"), Chain()
    await peer.subscribe(name, delta="fossil")
    texts = ["é" * 40 + "日本語" * 20, "é" * 39 + "è" + "日本誌" * 20, "ê" * 40 + "日本語😀" * 20, "ê" * 40 + "日本語😁" * 20]
    for number, text in enumerate(texts):
        body = json.dumps({"channel": name, "data": version(number, text)}, ensure_ascii=False)
        assert "result" in strict.post("publish", body.encode()).json()
        assert chain.take(await peer.publication(name)) == version(number, text)


async def test_p59_filters_by_tags(strict, peer, channel):
    """P-59: tf drops non-matching, positions stay right: live, on recovery, and no gap is seen after the dropped."""
    name = channel("kept")
    tf = {"op": "and", "nodes": [{"key": "kind", "cmp": "eq", "val": "goal"}, {"key": "minute", "cmp": "gte", "val": "10"}]}
    epoch = (await peer.subscribe(name, tf=tf))["epoch"]
    tags = [("goal", "9"), ("goal", "10"), ("foul", "50"), ("goal", "90"), ("foul", "91")]
    for number, (kind, minute) in enumerate(tags, 1):
        strict.call("publish", channel=name, data=number, tags={"kind": kind, "minute": minute})
    assert [(await peer.publication(name))["offset"] for _ in range(2)] == [2, 4]
    await peer.result(unsubscribe={"channel": name})
    result = await peer.subscribe(name, tf=tf, recover=True, offset=1, epoch=epoch)
    assert result["recovered"] is True
    assert [entry["offset"] for entry in result["publications"]] == [2, 4]
    strict.call("publish", channel=name, data=6, tags={"kind": "goal", "minute": "92"})
    live = await peer.publication(name)
    assert (live["offset"], live["tags"]) == (6, {"kind": "goal", "minute": "92"})
    assert not [entry for entry in peer.log if "unsubscribe" in entry.get("push", {})]


@pytest.mark.parametrize(
    "tf",
    [
        {"key": "a", "cmp": "eq"},
        {"key": "a", "cmp": "eq", "val": "x", "vals": ["y"]},
        {"key": "a", "cmp": "in", "val": "x"},
        {"key": "a", "cmp": "ex", "val": "x"},
        {"cmp": "eq", "val": "x"},
        {"key": "a", "cmp": "like", "val": "x"},
        {"op": "xor", "nodes": [{"key": "a", "cmp": "ex"}]},
        {"op": "and", "nodes": []},
        {"op": "not", "nodes": [{"key": "a", "cmp": "ex"}, {"key": "b", "cmp": "ex"}]},
    ],
)
async def test_p60_malformed_filters(peer, channel, tf):
    """P-60: malformed tf → 107; nothing stays behind."""
    name = channel("kept")
    assert await peer.error(subscribe={"channel": name, "tf": tf}) == 107
    assert await peer.subscribe(name)


async def test_p60_forbidden_filters(peer, channel):
    """P-60: forbidden tf → 107."""
    assert await peer.error(subscribe={"channel": channel("short"), "tf": {"key": "a", "cmp": "eq", "val": "x"}}) == 107
