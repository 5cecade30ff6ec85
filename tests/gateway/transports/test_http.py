"""The HTTP transports' requests: what is answered at once, with which status, and how a stream begins."""

import json
from urllib.parse import quote

import pytest
from centrifuge.protocol import client_pb2

ON = {name: {"enabled": True} for name in ("sse", "http_stream", "uni_sse", "uni_http_stream")}
PATHS = [f"/connection/{name}" for name in ON]
STREAM_HEADERS = {
    "cache-control": "private, no-cache, no-store, must-revalidate, max-age=0",
    "pragma": "no-cache",
    "expire": "0",
    "x-accel-buffering": "no",
    "connection": "keep-alive",
}


def connect_frame(gateway, path):
    request = {"token": gateway.world.token()}
    return json.dumps(request if "uni_" in path else {"id": 1, "connect": request}).encode()


def is_connect(message, path):
    return "connect" in message and ("id" in message) != ("uni_" in path)


@pytest.mark.parametrize("path", PATHS)
def test_how_a_stream_begins(run, serving, path):
    async def main():
        async with serving(**ON) as gateway:
            peer = await gateway.ask("POST", path, connect_frame(gateway, path))
            assert peer.status == 200
            assert STREAM_HEADERS.items() <= peer.headers.items()
            data = await peer.until(b"\n\n" if "sse" in path else b"}\n")
            if "sse" in path:
                assert peer.headers["content-type"] == "text/event-stream; charset=utf-8"
                assert data.startswith(b"\r\ndata: {")
                data = data.removeprefix(b"\r\ndata: ")
            assert is_connect(json.loads(data), path)
            assert data.strip().count(b"\n") == 0

    run(main())


@pytest.mark.parametrize("path", ["/connection/sse", "/connection/uni_sse"])
def test_the_connect_request_in_the_address(run, serving, path):
    async def main():
        async with serving(**ON) as gateway:
            peer = await gateway.ask("GET", f"{path}?cf_connect={quote(connect_frame(gateway, path))}")
            assert is_connect(json.loads((await peer.until(b"\n\n")).removeprefix(b"\r\ndata: ")), path)

    run(main())


def test_an_event_stream_without_a_connect_request(run, serving):
    """It is missing, or on a one-way transport counts as an empty one."""

    async def main():
        async with serving(**ON, client={"allow_anonymous_connect_without_token": True}) as gateway:
            assert (await gateway.ask("GET", "/connection/sse")).status == 400
            peer = await gateway.ask("GET", "/connection/uni_sse")
            assert peer.status == 200
            assert b"connect" in await peer.until(b"\n\n")
            null = await gateway.ask("POST", "/connection/uni_http_stream", b"null")
            assert b"connect" in await null.until(b"\n")

    run(main())


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/connection/http_stream"),
        ("GET", "/connection/uni_http_stream"),
        ("PUT", "/connection/sse"),
        ("DELETE", "/connection/uni_sse"),
        ("GET", "/emulation"),
    ],
)
def test_other_methods_are_405(run, serving, method, path):
    async def main():
        async with serving(**ON) as gateway:
            peer = await gateway.ask(method, path)
            assert peer.status == 405
            assert "POST" in peer.headers["allow"]

    run(main())


@pytest.mark.parametrize("path", [*PATHS, "/emulation"])
def test_a_body_above_the_limit_is_413(run, serving, path):
    async def main():
        async with serving(**ON) as gateway:
            assert (await gateway.ask("POST", path, b"x" * 65537)).status == 413

    run(main())


@pytest.mark.parametrize("path", ["/connection/http_stream", "/connection/sse"])
def test_a_frame_that_cannot_be_read_ends_the_stream(run, serving, path):
    async def main():
        async with serving(**ON) as gateway:
            peer = await gateway.ask("POST", path, b"garbage")
            assert peer.status == 200
            assert b'{"push":{"disconnect":{"code":3501,"reason":"bad request"}}}' in await peer.rest()

    run(main())


@pytest.mark.parametrize("body", [b"garbage", b"[]", b'{"token":1}', b"\xff", b""])
@pytest.mark.parametrize("path", ["/connection/uni_http_stream", "/connection/uni_sse"])
def test_a_one_way_request_that_cannot_be_read_is_400(run, serving, path, body):
    async def main():
        async with serving(**ON) as gateway:
            assert (await gateway.ask("POST", path, body)).status == 400
            assert gateway.node.statistics().transports == 0

    run(main())


@pytest.mark.parametrize(
    ("error", "disconnect"),
    [
        ({"exp": 1}, b'{"disconnect":{"code":3005,"reason":"connection expired"}}'),
        ({"channels": ["nowhere:a"]}, b'{"disconnect":{"code":3004,"reason":"internal server error"}}'),
        ({"channel": "a"}, b'{"disconnect":{"code":3500,"reason":"invalid token"}}'),
    ],
)
def test_one_way_errors_are_disconnects(run, serving, error, disconnect):
    async def main():
        async with serving(**ON) as gateway:
            body = json.dumps({"token": gateway.world.token(**error)}).encode()
            peer = await gateway.ask("POST", "/connection/uni_http_stream", body)
            assert await peer.rest() == disconnect + b"\n"
            await gateway.until(lambda: gateway.node.statistics().transports == 0)

    run(main())


def test_a_node_that_is_full_is_503(run, serving):
    async def main():
        async with serving(**ON, client={"connection_limit": 1}) as gateway:
            await gateway.emulated()
            for path in PATHS:
                peer = await gateway.ask("POST", path, connect_frame(gateway, path))
                assert (peer.status, peer.headers["retry-after"]) == (503, "1")

    run(main())


def envelope(result, data, **changes):
    return json.dumps({"node": result["node"], "session": result["session"], "data": data, **changes}).encode()


def test_where_an_emulated_frame_goes(run, serving):
    async def main():
        async with serving(**ON) as gateway:
            peer, result = await gateway.emulated()
            frame = '{"id":2,"rpc":{}}'
            answers = {
                envelope(result, frame): 204,
                envelope(result, frame, session="unknown"): 204,
                envelope(result, frame, node="unknown"): 404,
                envelope(result, {"not": "text"}): 400,
                b"garbage": 400,
                b"\xff": 400,
                b'{"node":1}': 400,
            }
            for body, status in answers.items():
                assert (await gateway.ask("POST", "/emulation", body)).status == status, body
            assert json.loads(await peer.until(b"\n"))["id"] == 2
            assert gateway.node.statistics().clients == 1

    run(main())


def test_posts_are_handled_in_the_order_of_their_arrival(run, serving):
    async def main():
        async with serving(**ON) as gateway:
            peer, result = await gateway.emulated()
            for number in range(2, 8):
                commands = [{"id": number * 10 + n, "presence": {"channel": "a"}} for n in range(3)]
                assert await gateway.emulate(result, *commands) == 204
            got = b""
            while got.count(b"\n") < 18:
                got += await peer.chunk()
            ids = [json.loads(line)["id"] for line in got.splitlines()]
            assert ids == [number * 10 + n for number in range(2, 8) for n in range(3)]

    run(main())


def delimited(message):
    body = message.SerializeToString()
    prefix = [len(body)] if len(body) < 128 else [len(body) & 127 | 128, len(body) >> 7]
    return bytes(prefix) + body


def test_a_protobuf_stream(run, serving):
    """Bytes both ways; the envelope may be either encoding, the connection's decides what is in it."""

    async def main():
        async with serving(**ON) as gateway:
            binary = {"Content_Type": "application/octet-stream"}
            connect = delimited(client_pb2.Command(id=1, connect={"token": gateway.world.token()}))
            peer = await gateway.ask("POST", "/connection/http_stream", connect, **binary)
            data = await peer.chunk()
            result = client_pb2.Reply.FromString(data[1 if data[0] < 128 else 2 :]).connect
            command = delimited(client_pb2.Command(id=2, rpc={"method": "none"}))
            parts = ((1, result.node.encode()), (2, result.session.encode()), (3, command))
            body = b"".join(bytes([number << 3 | 2, len(value)]) + value for number, value in parts)
            assert (await gateway.ask("POST", "/emulation", body, **binary)).status == 204
            assert client_pb2.Reply.FromString((await peer.chunk())[1:]).error.code == 108
            assert (await gateway.ask("POST", "/emulation", body[:-3], **binary)).status == 400
            result = {"node": result.node, "session": result.session}
            assert (await gateway.ask("POST", "/emulation", envelope(result, '{"id":3,"rpc":{}}'))).status == 204
            end = await peer.rest()
            assert client_pb2.Reply.FromString(end[1:]).push.disconnect.code == 3501

    run(main())


def test_a_binary_envelope_for_a_json_stream(run, serving):
    async def main():
        async with serving(**ON) as gateway:
            peer, result = await gateway.emulated()
            data = json.dumps('{"id":2,"rpc":{}}').encode()
            parts = ((1, result["node"].encode()), (2, result["session"].encode()), (3, data))
            body = b"".join(bytes([number << 3 | 2, len(value)]) + value for number, value in parts)
            answer = await gateway.ask("POST", "/emulation", body, Content_Type="application/octet-stream")
            assert answer.status == 204
            assert json.loads(await peer.until(b"\n"))["error"]["code"] == 108

    run(main())
