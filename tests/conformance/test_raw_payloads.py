"""PROTOCOL.md §2.5: payloads that are no JSON, or JSON on several lines, never make a frame that a JSON client cannot read."""

import asyncio
import base64
import json

import pytest
from centrifuge.fossil import apply_delta

BYTES = b"\x00\xff{"
REFUSED = (3506, "inappropriate protocol")
LINES = b'{\r\n  "a": [1,\n 2],\r "b": "x\\r\\ny"\r\n}'
VALUE = json.loads(LINES)


def b64(data):
    return base64.b64encode(data).decode()


async def call(server, method, **body):
    return await asyncio.to_thread(server.call, method, **body)


@pytest.fixture
def binary(open_protobuf):
    """Open a Protobuf client and connect."""

    async def make(server, user, *commands):
        peer = await open_protobuf(server)
        await peer.send({"id": 1, "connect": {"token": server.token(user)}}, *commands)
        for number in range(1, len(commands) + 2):
            await peer.until(lambda reply, number=number: reply.id == number)
        return peer

    return make


@pytest.mark.parametrize("as_text", [True, False])
@pytest.mark.parametrize(("path", "method"), [("http_stream", "POST"), ("sse", "GET"), ("uni_sse", "GET")])
async def test_lines_of_a_payload_do_not_cut_a_stream(strict, open_stream, user, channel, path, method, as_text):
    """In an event stream a carriage return alone ends a line as well."""
    name = channel()
    request = {"token": strict.token(user), "subs": {name: {}}}
    stream = await open_stream(strict, path, request if "uni_" in path else {"id": 1, "connect": request}, method=method)
    await stream.message()
    if as_text:
        body = b'{"channel":"%b","data":%b}' % (name.encode(), LINES)
        assert (await asyncio.to_thread(strict.post, "publish", body)).json() == {"result": {}}
    else:
        await call(strict, "publish", channel=name, b64data=b64(LINES))
    await call(strict, "publish", channel=name, data="next")
    messages = [await stream.message() for _ in range(2)]
    pubs = [message.get("push", message)["pub"]["data"] for message in messages]
    assert pubs == [VALUE, "next"]


async def test_lines_of_a_payload_do_not_cut_a_frame(strict, connected, user, channel):
    peer, name = await connected(strict, user), channel("kept")
    await peer.subscribe(name)
    await call(strict, "publish", channel=name, b64data=b64(LINES))
    assert (await peer.publication(name))["data"] == VALUE
    assert any(LINES.replace(b"\n", b"").decode() in frame for frame in peer.frames)  # nothing else of it is touched
    history = await peer.result(history={"channel": name, "limit": 1})
    assert history["publications"][0]["data"] == VALUE
    recovered = await (await connected(strict, user)).subscribe(name, recover=True, offset=0, epoch="")
    assert recovered["publications"][0]["data"] == VALUE


async def test_deltas_of_payloads_on_several_lines_fit_their_base(strict, connected, user, channel):
    """The text that a JSON client keeps as the base of the next patch is the payload itself, line breaks and all."""
    peer, late, name = await connected(strict, user), await connected(strict, user), channel("kept")
    await peer.subscribe(name, delta="fossil")
    payloads = [b'{\r\n "numbers": %b,\n "n": %d\n}' % (json.dumps(list(range(50)), indent=1).encode(), n) for n in range(3)]
    held = b""
    for number, payload in enumerate(payloads):
        await call(strict, "publish", channel=name, b64data=b64(payload))
        pub = await peer.publication(name)
        assert pub.get("delta", False) == (number > 0)
        text = pub["data"].encode()
        held = bytes(apply_delta(held, text)) if number else text
        assert held == payload
    first, *others = (await late.subscribe(name, delta="fossil", recover=True, offset=0, epoch=""))["publications"]
    held = first["data"].encode()
    for pub, payload in zip(others, payloads[1:], strict=True):
        assert pub["delta"] is True
        held = bytes(apply_delta(held, pub["data"].encode()))
        assert held == payload


async def test_bytes_of_a_protobuf_client_end_the_json_clients(strict, connected, binary, user, channel):
    name = channel("kept")
    plain, with_delta = await connected(strict, user), await connected(strict, user)
    await plain.subscribe(name)
    await with_delta.subscribe(name, delta="fossil")
    publisher = await binary(strict, user, {"id": 2, "subscribe": {"channel": name}})
    await publisher.send({"id": 3, "publish": {"channel": name, "data": BYTES}})
    assert (await publisher.until(lambda reply: reply.push.HasField("pub"))).push.pub.data == BYTES
    assert await plain.closed() == REFUSED
    assert await with_delta.closed() == REFUSED


async def test_bytes_of_the_past_end_who_asks_for_them(strict, connected, binary, user, channel):
    name = channel("kept")
    await call(strict, "publish", channel=name, b64data=b64(BYTES))
    asking, recovering, counting = [await connected(strict, user) for _ in range(3)]
    await asking.send({"id": 2, "history": {"channel": name, "limit": 1}})
    assert await asking.closed() == REFUSED
    await recovering.send({"id": 2, "subscribe": {"channel": name, "recover": True, "offset": 0, "epoch": ""}})
    assert await recovering.closed() == REFUSED
    assert (await counting.result(history={"channel": name}))["offset"] == 1
    peer = await binary(strict, user)
    await peer.send({"id": 2, "history": {"channel": name, "limit": 1}})
    reply = await peer.until(lambda reply: reply.id == 2)
    assert reply.history.publications[0].data == BYTES


async def test_bytes_end_a_stream_with_its_push(strict, open_stream, user, channel):
    name = channel()
    stream = await open_stream(strict, "uni_sse", {"token": strict.token(user), "subs": {name: {}}}, method="GET")
    await stream.message()
    await call(strict, "publish", channel=name, b64data=b64(BYTES))
    assert await stream.to_end() == [{"disconnect": {"code": 3506, "reason": "inappropriate protocol"}}]


async def test_infos_and_data_of_the_api_are_json_on_one_line(strict, connected, user, channel):
    peer, witness, name = await connected(strict, user), await connected(strict, f"{user}-witness"), channel("kept")
    await witness.subscribe(name)
    await witness.push("join", name)
    for field in ("b64info", "b64data"):
        error = strict.post("subscribe", {"user": user, "channel": name, field: b64(BYTES)}).json()["error"]
        assert error["code"] == 107
        assert field in error["message"]
    await call(strict, "subscribe", user=user, channel=name, b64info=b64(LINES), b64data=b64(LINES))
    assert (await peer.push("subscribe", name))["subscribe"]["data"] == VALUE
    assert (await witness.push("join", name))["join"]["info"]["chan_info"] == VALUE
    present = await witness.result(presence={"channel": name})
    assert VALUE in [info.get("chan_info") for info in present["presence"].values()]


async def test_infos_of_a_token_are_json_on_one_line(strict, open_peer, open_protobuf, connected, user, channel):
    """§3.3: who brings others what they cannot read is not let in, whatever its own encoding."""
    forger = await open_protobuf(strict)
    await forger.send({"id": 1, "connect": {"token": strict.token(user, b64info=b64(BYTES))}})
    with pytest.raises(Exception, match="3500"):
        await forger.reply()
    witness, name = await connected(strict, f"{user}-witness"), channel("kept")
    await witness.subscribe(name)
    await witness.push("join", name)
    peer = await connected(strict, user, b64info=b64(LINES))
    await peer.subscribe(name)
    assert (await witness.push("join", name))["join"]["info"]["conn_info"] == VALUE
    await peer.result(publish={"channel": name, "data": 1})
    assert (await witness.publication(name))["info"]["conn_info"] == VALUE
