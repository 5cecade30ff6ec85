"""PROTOCOL.md §2.5, §5.1, §5.3 and §5.8: publishing, history, RPC."""

import pytest


@pytest.fixture
async def writer(strict, connected, user):
    return await connected(strict, user)


def fill(strict, channel, count):
    for number in range(1, count + 1):
        strict.call("publish", channel=channel, data={"n": number})


def numbers(result):
    return [entry["data"]["n"] for entry in result["publications"]]


async def test_p34_empty_data(writer, channel):
    """P-34: publish empty data → 107."""
    assert await writer.error(publish={"channel": channel("kept")}) == 107


@pytest.mark.parametrize("data", [1, "text", [], None])
async def test_p34_data_of_the_wrong_kind(writer, strict, channel, data):
    """P-34 with §4.2: what the namespace's data format refuses is 107, from a client and from the API."""
    assert await writer.error(publish={"channel": channel("objects"), "data": data}) == 107
    assert strict.post("publish", {"channel": channel("objects"), "data": data}).json()["error"]["code"] == 107


async def test_p35_who_published(writer, strict, user, channel):
    """P-35: publisher info on client publications only."""
    name = channel("kept")
    await writer.subscribe(name)
    assert await writer.result(publish={"channel": name, "data": {"n": 1}}) == {}
    own = await writer.publication(name)
    assert own["info"]["user"] == user
    assert len(own["info"]["client"]) == 36
    strict.call("publish", channel=name, data={"n": 2})
    assert "info" not in await writer.publication(name)
    read = (await writer.result(history={"channel": name, "limit": 2}))["publications"]
    assert ["info" in entry for entry in read] == [True, False]


async def test_p36_limit_0_is_the_position(writer, strict, channel):
    """P-36: history limit 0 → position only; an untouched stream has one too."""
    name = channel("kept")
    empty = await writer.result(history={"channel": name})
    assert (empty["publications"], empty["offset"]) == ([], 0)
    assert empty["epoch"]
    fill(strict, name, 3)
    assert await writer.result(history={"channel": name}) == {"publications": [], "offset": 3, "epoch": empty["epoch"]}


async def test_p37_since_pages(writer, strict, channel):
    """P-37: history `since` pages without overlap."""
    name = channel("kept")
    fill(strict, name, 7)
    pages, since = [], {"offset": 0}
    while page := (await writer.result(history={"channel": name, "limit": 3, "since": since}))["publications"]:
        pages.append([entry["offset"] for entry in page])
        since = {"offset": page[-1]["offset"]}
    assert pages == [[1, 2, 3], [4, 5, 6], [7]]


async def test_p38_reverse_descends(writer, strict, channel):
    """P-38: reverse history descends, from the newest or from before `since`; before the beginning is 107."""
    name = channel("kept")
    fill(strict, name, 5)
    newest = await writer.result(history={"channel": name, "limit": 3, "reverse": True})
    assert numbers(newest) == [5, 4, 3]
    older = await writer.result(history={"channel": name, "limit": 9, "reverse": True, "since": {"offset": 3}})
    assert numbers(older) == [2, 1]
    assert await writer.error(history={"channel": name, "limit": 9, "reverse": True, "since": {}}) == 107


async def test_p39_no_more_than_300(writer, strict, channel):
    """P-39: client history `limit:-1` capped at 300; the API's is not."""
    name = channel("kept")
    commands = [{"publish": {"channel": name, "data": {"n": n}}} for n in range(1, 302)]
    assert len(strict.post("batch", {"commands": commands}).json()["replies"]) == 301
    assert len((await writer.result(history={"channel": name, "limit": -1}))["publications"]) == 300
    assert len((await writer.result(history={"channel": name, "limit": 400}))["publications"]) == 300
    assert len(strict.call("history", channel=name, limit=-1)["publications"]) == 301


async def test_p40_another_epoch(writer, strict, channel):
    """P-40: wrong since.epoch → 112; an empty one matches any."""
    name = channel("kept")
    fill(strict, name, 2)
    assert await writer.error(history={"channel": name, "limit": 1, "since": {"offset": 1, "epoch": "wrong"}}) == 112
    assert numbers(await writer.result(history={"channel": name, "limit": 1, "since": {"offset": 1}})) == [2]


async def test_p41_no_history(writer, channel):
    """P-41: history off → 108; not allowed → 103."""
    assert await writer.error(history={"channel": channel(), "limit": 1}) == 108
    assert await writer.error(history={"channel": channel("closed"), "limit": 1}) == 103


async def test_p61_rpc_unconfigured(writer, shipped, connected):
    """P-61: RPC unconfigured → 108."""
    assert await writer.error(rpc={"method": "anything", "data": {}}) == 108
    assert await (await connected(shipped)).error(rpc={"method": "a:b", "data": {}}) == 108


async def test_an_rpc_about_what_is_not_there_is_104(writer):
    """§6.1: a built-in method tells that there is no such notification."""
    assert await writer.error(rpc={"method": "notification.ack", "data": {"id": "unknown"}}) == 104


async def test_bytes_to_a_json_client_are_3506(strict, connected, user, channel):
    """§2.5: a payload that is no JSON ends a JSON connection, and no other."""
    peer, other, name = await connected(strict, user), await connected(strict, f"{user}-other"), channel("bytes")
    await peer.subscribe(name)
    strict.call("publish", channel=name, b64data="AP8=")
    assert await peer.closed() == (3506, "inappropriate protocol")
    assert await other.result(unsubscribe={"channel": "none"}) == {}


async def test_bytes_to_a_protobuf_client_arrive(strict, open_protobuf, user, channel):
    """§2.5: the same payload is no fault there."""
    peer, name = await open_protobuf(strict), channel("bytes")
    await peer.send({"id": 1, "connect": {"token": strict.token(user)}}, {"id": 2, "subscribe": {"channel": name}})
    await peer.until(lambda reply: reply.id == 2)
    strict.call("publish", channel=name, b64data="AP8=")
    assert (await peer.until(lambda reply: reply.push.HasField("pub"))).push.pub.data == b"\x00\xff"
