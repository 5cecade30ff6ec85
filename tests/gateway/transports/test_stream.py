"""Streams over HTTP: how they end, who is too slow for them, and that one does not hold another."""

import asyncio
import json

from broker.model import Publication, PublishOptions
from gateway.protocol import disconnects
from gateway.protocol.json_codec import JsonCodec
from gateway.transports.stream import StreamConnection, StreamWire
from gateway.transports.transport import Kind

OPEN = {"without_namespace": {"allow_subscribe_for_client": True, "allow_publish_for_client": True}}
ON = {"http_stream": {"enabled": True}, "channel": OPEN}
LINES = StreamWire("http_stream", JsonCodec(), Kind.EMULATED, before=b"", after=b"\n")
SUBSCRIBE = {"id": 2, "subscribe": {"channel": "a"}}
MEGABYTE = b'"' + b"x" * 1_000_000 + b'"'


async def publish(gateway, data):
    await gateway.world.engine.pubsub.publish("a", Publication(data), PublishOptions())


def messages(data):
    return [json.loads(line) for line in data.splitlines()]


class Response:
    """Plays the ASGI server of one response; while `gate` is closed a write hangs."""

    def __init__(self):
        self.chunks, self.is_ended = [], False
        self.gate, self.wrote = asyncio.Event(), asyncio.Event()
        self.gate.set()
        self.gone = asyncio.Event()

    async def receive(self):
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message):
        await self.gate.wait()
        self.chunks.append(message["body"])
        self.is_ended = not message["more_body"]
        self.wrote.set()

    async def next(self):
        async with asyncio.timeout(30):
            await self.wrote.wait()
        self.wrote.clear()
        return self.chunks[-1]


async def turns():
    """Let the event loop go on until nothing follows from what just happened."""
    for _ in range(10):
        await asyncio.sleep(0)


async def pinged(made, response):
    """Let time pass until the next write; gives it."""
    for _ in range(300):
        made.pass_time(0.1)
        await turns()
        if response.wrote.is_set():
            return await response.next()
    raise AssertionError("nothing was written in 30 s")


def served(node):
    """Open a stream whose other end the test plays."""
    response = Response()
    connection = StreamConnection(node, LINES, {})
    frame = b'{"id":1,"connect":{}}\n{"id":2,"subscribe":{"channel":"a"}}'
    return response, asyncio.create_task(connection.run(frame, response.receive, response.send))


def test_a_fault_of_ours_is_error_100_without_details(run, serving):
    async def broken(_user, _data):
        raise RuntimeError("a secret of ours")

    async def main():
        async with serving(**ON, rpc_methods={"broken": broken}) as gateway:
            peer, result = await gateway.emulated()
            assert await gateway.emulate(result, {"id": 2, "rpc": {"method": "broken"}}) == 204
            error = {"code": 100, "message": "internal server error", "temporary": True}
            assert json.loads(await peer.until(b"\n")) == {"id": 2, "error": error}

    run(main())


def test_what_was_queued_comes_before_the_end(run, serving):
    async def main():
        async with serving(**ON) as gateway:
            peer, result = await gateway.emulated()
            publish = {"id": 3, "publish": {"channel": "a", "data": 1}}
            assert await gateway.emulate(result, SUBSCRIBE, publish, {"id": 4, "connect": {}}) == 204
            got = messages(await peer.rest())
            assert [message.get("id") for message in got if "id" in message] == [2, 3]
            assert got[-1] == {"push": {"disconnect": {"code": 3501, "reason": "bad request"}}}
            assert {"push": {"channel": "a", "pub": {"data": 1, "info": got[-2]["push"]["pub"]["info"]}}} in got
            await gateway.until(lambda: gateway.node.statistics().transports == 0)
            assert gateway.node.disconnects_by_code == {3501: 1}

    run(main())


def test_a_peer_that_goes_leaves_nothing_behind(run, serving):
    async def main():
        async with serving(**ON) as gateway:
            peer, result = await gateway.emulated(SUBSCRIBE)
            await gateway.until(lambda: gateway.node.hub.channels().get("a") == 1)
            peer.writer.close()
            await gateway.until(lambda: gateway.node.statistics().transports == 0)
            left = gateway.node.statistics()
            assert (left.clients, left.rooms, left.subscriptions) == (0, 0, 0)
            assert gateway.node.emulated == {}
            assert gateway.node.disconnects_by_code == {3000: 1}
            assert await gateway.emulate(result, SUBSCRIBE) == 204

    run(main())


def test_a_peer_that_stops_reading_ends_with_a_write_error(run, serving):
    """3009: its buffers are full, and a write has taken a second; the others have got everything long before."""

    async def main():
        async with serving(**ON, client={"queue_max_size": 1 << 30}) as gateway:
            stuck, _ = await gateway.emulated(SUBSCRIBE, receive_buffer=4096)
            reader, _ = await gateway.emulated(SUBSCRIBE)
            await gateway.until(lambda: gateway.node.hub.channels().get("a") == 2)
            for _ in range(20):
                await publish(gateway, MEGABYTE)
                assert (await reader.until(b"}}}\n")).count(MEGABYTE) == 1
            assert gateway.node.statistics().clients == 2
            await gateway.until(lambda: gateway.node.statistics().clients == 1)
            assert gateway.node.disconnects_by_code == {disconnects.WRITE_ERROR.code: 1}
            await publish(gateway, b"1")
            assert b'"data":1' in await reader.until(b"\n")
            assert (await stuck.rest()).count(MEGABYTE) < 20

    run(main())


def test_a_slow_peer_is_cut_off_and_the_others_go_on(run, serving):
    """3008: more than the outbound limit waits for it."""

    async def main():
        async with serving(**ON, client={"queue_max_size": 2_000_000}) as gateway:
            await gateway.emulated(SUBSCRIBE, receive_buffer=4096)
            reader, _ = await gateway.emulated(SUBSCRIBE)
            await gateway.until(lambda: gateway.node.hub.channels().get("a") == 2)
            for _ in range(40):
                await publish(gateway, MEGABYTE)
                await reader.until(b"}}}\n")
            assert gateway.node.statistics().clients == 1
            await gateway.until(lambda: gateway.node.statistics().transports == 1)
            assert gateway.node.disconnects_by_code == {disconnects.SLOW.code: 1}

    run(main())


async def test_what_waits_for_a_slow_peer_is_dropped(world):
    made = world(client={"insecure": True, "queue_max_size": 2000}, channel=OPEN)
    response, serving = served(made.node)
    await response.next()
    response.gate.clear()
    for _ in range(3):
        await made.engine.pubsub.publish("a", Publication(b'"' + b"x" * 1000 + b'"'), PublishOptions())
        await turns()
    assert made.node.statistics().clients == 0
    response.gate.set()
    await serving
    assert response.is_ended
    assert messages(response.chunks[-1]) == [{"push": {"disconnect": {"code": 3008, "reason": "slow"}}}]


async def test_pings_and_the_missing_pong(world):
    made = world(client={"insecure": True}, channel=OPEN)
    response, serving = served(made.node)
    await response.next()
    assert await pinged(made, response) == b"{}\n"
    made.pass_time(8.2)
    await serving
    assert messages(response.chunks[-1]) == [{"push": {"disconnect": {"code": 3012, "reason": "no pong"}}}]


async def test_a_pong_comes_the_other_way(world):
    made = world(client={"insecure": True}, channel=OPEN)
    response, serving = served(made.node)
    await response.next()
    (session,) = made.node.emulated.values()
    for _ in range(3):
        assert await pinged(made, response) == b"{}\n"
        session.receive(b"{}")
    assert made.node.statistics().clients == 1
    response.gone.set()
    await serving


async def test_what_one_turn_brings_leaves_in_one_chunk(world):
    made = world(client={"insecure": True}, channel=OPEN)
    response, serving = served(made.node)
    await response.next()
    count = len(response.chunks)
    for number in range(5):
        await made.engine.pubsub.publish("a", Publication(b"%d" % number), PublishOptions())
    await response.next()
    assert len(response.chunks) == count + 1
    assert [message["push"]["pub"]["data"] for message in messages(response.chunks[-1])] == [0, 1, 2, 3, 4]
    response.gone.set()
    await serving
    assert made.node.statistics().transports == 0


async def test_a_node_that_drains_says_so(world):
    made = world(client={"insecure": True}, channel=OPEN)
    response, serving = served(made.node)
    await response.next()
    for client in made.node.hub.clients():
        client.disconnect(disconnects.SHUTDOWN)
    await serving
    assert messages(response.chunks[-1]) == [{"push": {"disconnect": {"code": 3001, "reason": "shutdown"}}}]
    assert response.is_ended


async def test_who_says_nothing_fit_is_told_once(world):
    made = world(client={"insecure": True})
    response = Response()
    connection = StreamConnection(made.node, LINES, {})
    await connection.run(b"garbage", response.receive, response.send)
    connection.write(b"too late")
    connection.close(disconnects.STALE)
    assert b"".join(response.chunks) == b'{"push":{"disconnect":{"code":3501,"reason":"bad request"}}}\n'
