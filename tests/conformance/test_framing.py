"""PROTOCOL.md §1 and §2: encodings, frames, pings, and what newer clients send."""

import json

import pytest
from websockets.exceptions import ConnectionClosed

PING = {}


async def test_p01_without_a_subprotocol_json_works(shipped, open_peer):
    """P-1: no subprotocol → JSON works, in text frames."""
    peer = await open_peer(shipped)
    assert peer.socket.subprotocol is None
    assert (await peer.result(connect={}))["client"]
    assert all(isinstance(frame, str) for frame in peer.frames)


async def test_p02_the_protobuf_subprotocol_is_echoed(shipped, open_protobuf):
    """P-2: `centrifuge-protobuf` offered → echoed, binary frames."""
    peer = await open_protobuf(shipped)
    assert peer.socket.subprotocol == "centrifuge-protobuf"
    await peer.send({"id": 1, "connect": {}})
    reply = await peer.reply()
    assert reply.id == 1
    assert (len(reply.connect.client), reply.connect.ping, reply.connect.pong) == (36, 25, True)
    assert all(isinstance(frame, bytes) for frame in peer.frames)


async def test_p03_two_commands_in_one_json_frame(shipped, open_peer):
    """P-3: two commands joined by a newline → two replies, in order; one trailing newline is tolerated."""
    peer = await open_peer(shipped)
    await peer.result(connect={})
    await peer.raw('{"id":2,"presence_stats":{"channel":"a"}}\n{"id":3,"rpc":{"method":"x"}}\n')
    assert [(await peer.message())["id"] for _ in range(2)] == [2, 3]


async def test_p04_two_commands_in_one_protobuf_frame(shipped, open_protobuf, channel):
    """P-4: two length-prefixed commands → two replies, in order."""
    peer = await open_protobuf(shipped)
    name = channel()
    await peer.send({"id": 1, "connect": {}}, {"id": 2, "subscribe": {"channel": name}})
    first, second = await peer.reply(), await peer.reply()
    assert (first.id, second.id) == (1, 2)
    assert second.HasField("subscribe")
    await peer.send({"id": 3, "publish": {"channel": name, "data": b'"\xc3\xbc"'}})
    published = await peer.until(lambda reply: reply.id == 3)
    assert published.HasField("publish")  # an empty result is a field of length 0, never left out


@pytest.mark.parametrize("frame", ["", "\n"])
async def test_p05_an_empty_frame_is_3501(shipped, open_peer, frame):
    """P-5: empty frame → 3501, before connect and after."""
    early, late = await open_peer(shipped), await open_peer(shipped)
    await early.raw(frame)
    assert await early.closed() == (3501, "bad request")
    await late.result(connect={})
    await late.raw(frame)
    assert await late.closed() == (3501, "bad request")


@pytest.mark.parametrize("command", [{"id": 1, "subscribe": {"channel": "a"}}, {"id": 1, "rpc": {}}, {"id": 1}, {}])
async def test_p06_the_first_command_must_be_connect(shipped, open_peer, command):
    """P-6: first command not connect → 3501."""
    peer = await open_peer(shipped)
    await peer.send(command)
    assert await peer.closed() == (3501, "bad request")


async def test_p07_silence_is_stale(brief, open_peer):
    """P-7: silence → 3502 after the stale delay."""
    peer = await open_peer(brief)
    assert await peer.closed() == (3502, "stale")


async def test_p08_a_second_connect_is_3501(shipped, open_peer):
    """P-8: second connect → 3501."""
    peer = await open_peer(shipped)
    await peer.send({"id": 1, "connect": {}}, {"id": 2, "connect": {}})
    assert (await peer.message())["id"] == 1
    assert await peer.closed() == (3501, "bad request")


async def test_p09_connect_and_subscribe_in_one_frame(shipped, open_peer, channel):
    """P-9: connect + subscribe in one frame both succeed, in this order."""
    peer = await open_peer(shipped)
    await peer.send(
        {"id": 1, "connect": {}}, {"id": 2, "subscribe": {"channel": channel()}}, {"id": 3, "subscribe": {"channel": channel()}}
    )
    replies = [await peer.until(lambda message: "id" in message) for _ in range(3)]
    assert [(reply["id"], "error" in reply) for reply in replies] == [(1, False), (2, False), (3, False)]


async def test_p10_what_the_connect_result_says(shipped, open_peer):
    """P-10: connect result has client, version, ping 25, pong; session and node only where they are needed."""
    peer = await open_peer(shipped)
    result = await peer.result(connect={"name": "test", "version": "1"})
    assert result.keys() == {"client", "version", "ping", "pong"}
    assert len(result["client"]) == 36
    assert result["version"]
    assert (result["ping"], result["pong"]) == (25, True)


async def test_p11_pings_and_pongs(brief, connected, user):
    """P-11: ping `{}`; pong accepted."""
    peer = await connected(brief, user)
    assert [await peer.until(lambda message: message == PING) for _ in range(2)] == [PING, PING]
    assert (await peer.result(subscribe={"channel": "a"})) == {}


async def test_p11_without_a_pong_it_ends(brief, connected, user):
    """P-11: no pong → 3012."""
    peer = await connected(brief, user, pongs=False)
    assert await peer.closed() == (3012, "no pong")
    assert peer.log.count(PING) == 1


async def test_p12_an_unsolicited_pong_is_3501(brief, connected, user):
    """P-12: unsolicited pong → 3501, and so is a second one for one ping."""
    early = await connected(brief, user)
    await early.raw("{}")
    assert await early.closed() == (3501, "bad request")
    twice = await connected(brief, user)
    await twice.until(lambda message: message == PING)
    await twice.raw("{}")
    assert await twice.closed() == (3501, "bad request")


async def test_p13_the_command_ping_is_3501(shipped, open_peer):
    """P-13: ping command → 3501."""
    peer = await open_peer(shipped)
    await peer.result(connect={})
    await peer.send({"id": 2, "ping": {}})
    assert await peer.closed() == (3501, "bad request")


async def test_p14_an_oversized_message_is_1009(shipped, open_peer):
    """P-14: oversized message → close 1009; one of just the limit passes."""
    peer = await open_peer(shipped)
    await peer.result(connect={})
    shell = json.dumps({"id": 2, "presence_stats": {"channel": "a", "unknown": ""}})
    await peer.raw(shell[:-3] + "x" * (65536 - len(shell)) + shell[-3:])
    assert "presence_stats" in await peer.until(lambda message: message.get("id") == 2)
    await peer.raw("x" * 65537)
    assert (await peer.closed())[0] == 1009


async def test_p15_what_is_unknown_is_ignored(shipped, open_peer, channel):
    """P-15: unknown fields, flag, dict, profile ignored, on every level."""
    peer = await open_peer(shipped)
    await peer.send({"id": 1, "connect": {"flag": 7, "dict": "d", "profile": "p", "new": [{}]}, "new": {"a": 1}})
    assert (await peer.message())["connect"].keys() == {"client", "version", "ping", "pong"}
    request = {"channel": channel(), "flag": 1, "phase": 1, "cursor": "c", "limit": 3, "asc": True, "new": None}
    assert await peer.result(subscribe=request)


@pytest.mark.parametrize("kind", [1, 2, 3, 4, 99])
async def test_p16_unknown_subscription_types(shipped, open_peer, channel, kind):
    """P-16: unknown subscribe type → 108; the connection goes on."""
    peer = await open_peer(shipped)
    await peer.result(connect={})
    name = channel()
    assert await peer.error(subscribe={"channel": name, "type": kind}) == 108
    assert await peer.subscribe(name)


RAW = '{"n":1.000000000000000000001,"big":123456789012345678901234567890,"esc":"\\u00e9\\/\\ud83d\\ude00","b":1,"a":[ 1 , 2 ]}'


async def test_p75_raw_payload_bytes_survive(shipped, open_peer, channel):
    """P-75: raw JSON payload bytes survive unchanged: precision, escapes, order, spaces."""
    name = channel()
    peer = await open_peer(shipped)
    await peer.result(connect={})
    await peer.subscribe(name)
    await peer.raw(f'{{"id":9,"publish":{{"channel":"{name}","data":{RAW}}}}}')
    await peer.publication(name)
    assert any(f'"data":{RAW}' in frame for frame in peer.frames)
    answer = shipped.post("publish", f'{{"channel":"{name}","data":{RAW}}}'.encode())
    assert answer.json()["result"]["offset"] == 2
    await peer.publication(name)
    assert f'"data":{RAW}' in peer.frames[-1]
    assert await peer.result(history={"channel": name, "limit": 5})
    assert peer.frames[-1].count(f'"data":{RAW}') == 2


async def test_p75_raw_newlines_are_removed(shipped, open_peer, channel):
    """P-75 with §2.5: only raw newlines between tokens go, because they part messages."""
    name = channel()
    peer = await open_peer(shipped)
    await peer.result(connect={})
    await peer.subscribe(name)
    shipped.post("publish", f'{{"channel":"{name}","data":{{\n"a": "\\n",\r\n "b": 1}}}}'.encode())
    assert (await peer.publication(name))["data"] == {"a": "\n", "b": 1}
    assert '{"a": "\\n",' in peer.frames[-1]


@pytest.mark.parametrize(
    ("first", "code"),
    [
        ({"id": 1, "connect": {"token": "garbage"}}, 3500),
        ({"id": 1, "rpc": {}}, 3501),
        ({"id": 1, "connect": {}, "send": {}}, 3501),
    ],
)
async def test_p76_close_frames_carry_a_reason(strict, open_peer, first, code):
    """P-76: close frames always carry a non-empty, non-JSON reason (`Peer.closed` asserts it of every close here)."""
    peer = await open_peer(strict)
    await peer.send(first)
    got, reason = await peer.closed()
    assert (got, reason) == (code, {3500: "invalid token", 3501: "bad request"}[code])


@pytest.mark.parametrize("reason", ["true", "{}", "123", '"text"', ""])
async def test_p76_reasons_of_the_api_that_would_mislead(strict, connected, user, reason):
    """P-76: nor may the API put JSON or nothing there: it is refused, or what arrives is neither."""
    peer = await connected(strict, user)
    answer = strict.post("disconnect", {"user": user, "disconnect": {"code": 4001, "reason": reason}}).json()
    if "error" in answer:
        assert answer["error"]["code"] == 107
        strict.call("disconnect", user=user)
    code, got = await peer.closed()
    assert code in (3503, 4001)
    assert got != reason


async def test_an_undecodable_frame_ends_after_what_stood_before_it(shipped, open_peer):
    """§1.4: commands before the fault have been handled; disconnect 3501."""
    peer = await open_peer(shipped)
    await peer.raw('{"id":1,"connect":{}}\n{"id":2,')
    assert (await peer.message())["id"] == 1
    assert await peer.closed() == (3501, "bad request")


async def test_after_the_close_nothing_is_sent(shipped, open_peer):
    peer = await open_peer(shipped)
    await peer.raw("{")
    await peer.closed()
    with pytest.raises(ConnectionClosed):
        await peer.raw("{}")
