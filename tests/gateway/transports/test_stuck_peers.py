"""HTTP peers that stop reading: they are cut off, nothing is kept for them, and no fault of ours is logged."""

import asyncio
import json
import logging
import socket

import pytest

from broker.model import Publication, PublishOptions
from gateway.transports.http_bounds import PATIENCE_S

OPEN = {"without_namespace": {"allow_subscribe_for_client": True}}
ON = {"http_stream": {"enabled": True}, "sse": {"enabled": True}, "channel": OPEN}
SUBSCRIBE = {"id": 2, "subscribe": {"channel": "a"}}
MEGABYTE = b'"' + b"x" * 1_000_000 + b'"'


async def publish(gateway, data):
    await gateway.world.engine.pubsub.publish("a", Publication(data), PublishOptions())


async def stuck(gateway, path="/connection/http_stream"):
    """Open a stream by hand, subscribe, and never read again."""
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.setblocking(False)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(connection, ("127.0.0.1", gateway.port))
    frame = [{"id": 1, "connect": {"token": gateway.world.token()}}, SUBSCRIBE]
    body = "\n".join(map(json.dumps, frame)).encode()
    await loop.sock_sendall(
        connection, b"POST %b HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % (path.encode(), len(body))
    )
    await loop.sock_sendall(connection, body)
    await gateway.until(lambda: gateway.node.hub.channels().get("a", 0) == 1)
    return connection


async def rest_of(connection):
    """Read what the kernel had taken before the end."""
    loop, data = asyncio.get_running_loop(), bytearray()
    while part := await loop.sock_recv(connection, 65536):
        data += part
    return bytes(data)


@pytest.mark.parametrize("path", ["/connection/http_stream", "/connection/sse"])
def test_a_slow_one_is_cut_off_with_all_that_waits_for_it(run, serving, caplog, path):
    async def main():
        async with serving(**ON, client={"queue_max_size": 2_000_000}) as gateway:
            peer = await stuck(gateway, path)
            while gateway.node.statistics().clients:
                await publish(gateway, MEGABYTE)
                await asyncio.sleep(0)
            await gateway.until(lambda: gateway.node.statistics().transports == 0)
            assert gateway.node.disconnects_by_code == {3008: 1}
            await gateway.until(lambda: not gateway.server.server_state.connections)
            assert b"disconnect" not in await rest_of(peer)
            peer.close()

    with caplog.at_level(logging.WARNING, "uvicorn"):
        run(main())
    assert caplog.records == []


def test_one_that_takes_nothing_is_cut_off_with_3009(run, serving, caplog):
    async def main():
        async with serving(**ON, client={"queue_max_size": 1 << 30}) as gateway:
            peer = await stuck(gateway)
            for _ in range(8):
                await publish(gateway, MEGABYTE)
                await asyncio.sleep(0)
            await gateway.until(lambda: gateway.node.statistics().transports == 0)
            assert gateway.node.disconnects_by_code == {3009: 1}
            await gateway.until(lambda: not gateway.server.server_state.connections)
            assert (await rest_of(peer)).count(b"}}}") < 8
            peer.close()

    with caplog.at_level(logging.WARNING, "uvicorn"):
        run(main())
    assert caplog.records == []


def test_a_node_that_ends_cuts_off_who_takes_nothing(run, serving, caplog):
    async def main():
        async with serving(**ON, client={"queue_max_size": 1 << 30}) as gateway:
            peer = await stuck(gateway)
            for _ in range(8):
                await publish(gateway, MEGABYTE)
                await asyncio.sleep(0)
            for transport in gateway.node.transports:
                transport.abort()
            await gateway.until(lambda: not gateway.server.server_state.connections)
            await gateway.until(lambda: gateway.node.statistics().transports == 0)
            peer.close()

    with caplog.at_level(logging.WARNING, "uvicorn"):
        run(main())
    assert caplog.records == []


SIZE = 20_000_000


class Flood:
    """An application whose one answer is larger than what sockets hold."""

    def __init__(self, *, closes):
        self.closes = closes

    async def __call__(self, _scope, _receive, send):
        body = b"x" * SIZE
        headers = [(b"content-length", b"%d" % len(body)), *([(b"connection", b"close")] if self.closes else [])]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})


@pytest.fixture
def flooded():
    """Serve the answer that is too large, and ask for it without reading."""

    async def ask(gateway, *, closes):
        await gateway.until(lambda: gateway.server.started)
        gateway.server.config.loaded_app = Flood(closes=closes)
        connection = socket.socket()
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(connection, ("127.0.0.1", gateway.port))
        await loop.sock_sendall(connection, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        return connection

    return ask


def unsent(gateway):
    return sum(each.transport.get_write_buffer_size() for each in gateway.server.server_state.connections)


def test_an_answer_that_nobody_takes_is_dropped(run, serving, flooded):
    async def main():
        async with serving() as gateway:
            peer = await flooded(gateway, closes=True)
            await gateway.until(lambda: unsent(gateway) > 1_000_000)
            gateway.world.clock.move(PATIENCE_S + 1)
            await gateway.until(lambda: not gateway.server.server_state.connections)
            assert len(await rest_of(peer)) < SIZE
            peer.close()

    run(main())


def test_an_answer_that_is_taken_slowly_comes_whole(run, serving, flooded):
    async def main():
        async with serving() as gateway:
            peer = await flooded(gateway, closes=True)
            await gateway.until(lambda: unsent(gateway) > 1_000_000)
            loop, size, before = asyncio.get_running_loop(), 0, unsent(gateway)
            for _ in range(3):
                while unsent(gateway) >= before:
                    size += len(await loop.sock_recv(peer, 65536))
                before = unsent(gateway)
                has_looked = asyncio.Event()
                gateway.node.wheel.after(0, has_looked.set)
                gateway.world.clock.move(PATIENCE_S + 1)
                await has_looked.wait()
            assert size + len(await rest_of(peer)) > SIZE
            peer.close()

    run(main())
