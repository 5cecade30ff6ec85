"""PROTOCOL.md §7: bidirectional emulation over HTTP, and transports that only go down."""

import asyncio
import json

import httpx
import pytest
from centrifuge.protocol import client_pb2
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

EMULATED = [("http_stream", "POST"), ("sse", "GET"), ("sse", "POST")]
ONE_WAY = [("uni_http_stream", "POST"), ("uni_sse", "GET"), ("uni_sse", "POST")]


@pytest.fixture
async def emulated(open_stream):
    """Open an emulated connection and connect."""

    async def make(server, path, method, user, **request):
        command = {"id": 1, "connect": {"token": server.token(user), **request}}
        stream = await open_stream(server, path, command, method=method)
        return stream, await stream.connect()

    return make


@pytest.mark.parametrize(("path", "method"), EMULATED)
async def test_p71_connect_subscribe_and_publish(strict, emulated, user, channel, path, method):
    """P-71: http_stream and sse: connect, subscribe, publish through `/emulation`."""
    stream, result = await emulated(strict, path, method, user)
    assert result.keys() == {"client", "version", "ping", "pong", "session", "node", "subs"}
    name = channel("kept")
    publish = {"id": 3, "publish": {"channel": name, "data": {"n": 1}}}
    assert await stream.emulate({"id": 2, "subscribe": {"channel": name}}, publish) == 204
    assert "subscribe" in await stream.until(lambda message: message.get("id") == 2)
    got = [await stream.until(lambda m: m.get("id") == 3 or "pub" in m.get("push", {})) for _ in range(2)]
    assert sorted("push" in message for message in got) == [False, True]
    assert (await asyncio.to_thread(strict.call, "presence_stats", channel=name))["num_clients"] == 1


async def test_p71_connect_and_subscribe_in_one_body(strict, open_stream, user, channel):
    """P-71: SDKs put connect and their subscribes into the first body."""
    frame = [{"id": 1, "connect": {"token": strict.token(user)}}, {"id": 2, "subscribe": {"channel": channel()}}]
    async with httpx.AsyncClient(timeout=30) as http:
        body = "\n".join(map(json.dumps, frame))
        async with http.stream("POST", f"{strict.url}/connection/http_stream", content=body) as response:
            lines = response.aiter_lines()
            got = [json.loads(await anext(lines)) for _ in range(2)]
    assert [message["id"] for message in got] == [1, 2]
    assert "subscribe" in got[1]


async def test_p71_what_ends_it(strict, emulated, user):
    """P-71 with §3.8: a disconnect push is the last message, then the response ends; nothing finds the session again."""
    stream, _ = await emulated(strict, "http_stream", "POST", user)
    assert await stream.emulate({"id": 2, "connect": {}}) == 204
    *_, last = await stream.to_end()
    assert last == {"push": {"disconnect": {"code": 3501, "reason": "bad request"}}}
    assert await stream.emulate({"id": 3, "subscribe": {"channel": "a"}}) == 204


@pytest.mark.parametrize(("path", "method"), EMULATED)
async def test_p71_pings_and_pongs(brief, emulated, user, path, method):
    """P-71 with §7.1: the server pings, the pong comes through `/emulation`; without one 3012."""
    stream, _ = await emulated(brief, path, method, user)
    await stream.until(lambda message: message == {})
    assert await stream.emulate({}) == 204
    *rest, last = await stream.to_end()
    assert last == {"push": {"disconnect": {"code": 3012, "reason": "no pong"}}}
    assert rest == [{}]


async def test_p71_an_expired_token_stays_an_error(strict, open_stream):
    """P-71: connect that fails is answered; SDKs take it from there."""
    stream = await open_stream(strict, "http_stream", {"id": 1, "connect": {"token": strict.token(exp=1)}})
    assert await stream.message() == {"id": 1, "error": {"code": 109, "message": "token expired"}}


async def test_p71_protobuf(strict, user, channel):
    """P-71: http_stream speaks Protobuf where the request is `application/octet-stream`."""

    def frame(message):
        body = message.SerializeToString()
        assert len(body) < 16384
        size = bytes([len(body)]) if len(body) < 128 else bytes([len(body) & 127 | 128, len(body) >> 7])
        return size + body

    async def next_reply(chunks, held):
        while True:
            if held:
                size, at = held[0] & 127, 1
                if held[0] & 128:
                    size, at = size | held[1] << 7, 2
                if len(held) >= at + size:
                    body = bytes(held[at : at + size])
                    del held[: at + size]
                    return client_pb2.Reply.FromString(body)
            held += await anext(chunks)

    headers = {"Content-Type": "application/octet-stream"}
    connect_ = client_pb2.Command(id=1, connect={"token": strict.token(user)})
    async with (
        httpx.AsyncClient(timeout=30, headers=headers) as http,
        http.stream("POST", f"{strict.url}/connection/http_stream", content=frame(connect_)) as response,
    ):
        chunks, held = response.aiter_raw(), bytearray()
        result = (await next_reply(chunks, held)).connect
        subscribe = client_pb2.Command(id=2, subscribe={"channel": channel()})
        request = [(1, result.node.encode()), (2, result.session.encode()), (3, frame(subscribe))]
        body = b"".join(bytes([number << 3 | 2, len(value)]) + value for number, value in request)
        assert (await http.post(f"{strict.url}/emulation", content=body)).status_code == 204
        reply = await next_reply(chunks, held)
        assert reply.id == 2
        assert reply.HasField("subscribe")


@pytest.mark.parametrize(("path", "method"), ONE_WAY)
async def test_p72_connect_first_then_bare_pushes(strict, open_stream, user, channel, path, method):
    """P-72: uni transports: connect push first, then pushes without a wrapper."""
    name = channel()
    request = {"token": strict.token(user), "subs": {name: {}}}
    stream = await open_stream(strict, path, request, method=method)
    first = await stream.message()
    assert first.keys() == {"connect"}
    assert first["connect"]["subs"].keys() == {name, f"#{user}"}
    assert first["connect"]["ping"] == 25
    assert first["connect"].keys().isdisjoint({"pong", "node"})
    await asyncio.to_thread(strict.call, "publish", channel=name, data={"n": 1})
    assert await stream.message() == {"channel": name, "pub": {"data": {"n": 1}}}
    await asyncio.to_thread(strict.call, "disconnect", user=user)
    assert await stream.to_end() == [{"disconnect": {"code": 3503, "reason": "force disconnect"}}]


@pytest.mark.parametrize(("path", "method"), ONE_WAY)
async def test_p72_pings_that_nobody_answers(brief, open_stream, user, path, method):
    """P-72: `{}` pings, and no pong is expected."""
    stream = await open_stream(brief, path, {"token": brief.token(user)}, method=method)
    await stream.message()
    assert [await stream.message() for _ in range(3)] == [{}, {}, {}]


UNI_ENDS = [
    ({"exp": 1}, {"code": 3005, "reason": "connection expired"}),
    ({"channels": ["nowhere:a"]}, {"code": 3004, "reason": "internal server error"}),
    ({"channel": "a"}, {"code": 3500, "reason": "invalid token"}),
]


@pytest.mark.parametrize(("path", "method"), ONE_WAY)
@pytest.mark.parametrize(("claims", "disconnect"), UNI_ENDS)
async def test_p72_errors_become_disconnects(strict, open_stream, user, path, method, claims, disconnect):
    """P-72: error → disconnect map."""
    stream = await open_stream(strict, path, {"token": strict.token(user, **claims)}, method=method)
    assert await stream.to_end() == [{"disconnect": disconnect}]


async def test_p72_uni_websocket(strict, user, channel):
    """P-72: the same over a WebSocket, whose close frame says why it ends."""
    name = channel()
    async with connect(f"ws://127.0.0.1:{strict.port}/connection/uni_websocket") as socket:
        await socket.send(json.dumps({"token": strict.token(user), "subs": {name: {}}}))
        assert json.loads(await socket.recv()).keys() == {"connect"}
        await asyncio.to_thread(strict.call, "publish", channel=name, data={"n": 1})
        assert json.loads(await socket.recv()) == {"channel": name, "pub": {"data": {"n": 1}}}
        await asyncio.to_thread(strict.call, "disconnect", user=user)
        assert json.loads(await socket.recv()) == {"disconnect": {"code": 3503, "reason": "force disconnect"}}
        with pytest.raises(ConnectionClosed):
            await socket.recv()
        assert (socket.close_code, socket.close_reason) == (3503, "force disconnect")


@pytest.mark.parametrize(("claims", "disconnect"), UNI_ENDS)
async def test_p72_uni_websocket_errors(strict, user, claims, disconnect):
    """P-72: error → disconnect map, in the close frame."""
    async with connect(f"ws://127.0.0.1:{strict.port}/connection/uni_websocket") as socket:
        await socket.send(json.dumps({"token": strict.token(user, **claims)}))
        assert json.loads(await socket.recv()) == {"disconnect": disconnect}
        with pytest.raises(ConnectionClosed):
            await socket.recv()
        assert (socket.close_code, socket.close_reason) == (disconnect["code"], disconnect["reason"])


async def test_p76_disconnect_pushes_carry_a_reason(strict, open_stream, user):
    """P-76 with §7: the same holds of the push that takes the close frame's place."""
    stream = await open_stream(strict, "http_stream", {"id": 1, "connect": {"token": "garbage"}})
    assert await stream.to_end() == [{"push": {"disconnect": {"code": 3500, "reason": "invalid token"}}}]
