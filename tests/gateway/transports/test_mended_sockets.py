"""What a peer may cost before it has said anything of use."""

import asyncio
import contextlib
import gc
import logging
import weakref

import pytest
from websockets.frames import Frame, Opcode


def test_empty_continuations_are_not_kept(run, serving):
    async def main():
        async with serving() as gateway:
            peer = await gateway.open()
            token = gateway.world.token()
            peer.frame(Opcode.TEXT, b'{"id":1,"connect":', fin=False)
            for _ in range(1000):
                peer.frame(Opcode.CONT, b"", fin=False)
            peer.frame(Opcode.CONT, b'{"token":"%b"' % token.encode(), fin=False)
            await peer.writer.drain()
            (connection,) = gateway.node.transports
            await gateway.until(lambda: len(connection._fragments or ()) > 1)
            assert len(connection._fragments) == 2
            peer.frame(Opcode.CONT, b"}}")
            assert "connect" in await peer.message()

    run(main())


def test_two_faults_in_one_piece_still_get_a_close_frame(run, serving):
    """The protocol is broken already when the session answers what came before; the peer is told so, and not cut off."""

    async def main():
        async with serving() as gateway:
            peer = await gateway.open()
            faults = Frame(Opcode.TEXT, b""), Frame(Opcode.CONT, b"stray")
            peer.raw(b"".join(frame.serialize(mask=True) for frame in faults))
            assert (await peer.closed())[0] == 1002
            await gateway.until(lambda: gateway.node.statistics().transports == 0)

    run(main())


HEAD = b"POST /api/batch HTTP/1.1\r\nHost: x\r\nX-API-Key: key-of-the-tests\r\n"


async def raw(gateway, data):
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    writer.write(data)
    await writer.drain()
    return reader, writer


async def heard(gateway):
    """Let the server read what was written: it answers another request that came later."""
    reader, writer = await raw(gateway, b"GET /nothing HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    await reader.read()
    writer.close()


async def answer(reader):
    async with asyncio.timeout(30):
        with contextlib.suppress(ConnectionError):
            return (await reader.read()).partition(b"\r\n")[0]
    return b"reset"


@pytest.mark.parametrize(
    "endless",
    [b"GET /" + b"a" * 70_000, b"GET / HTTP/1.1\r\n" + b"X-A: b\r\n" * 9_000, b"GET / HTTP/1.1\r\nX-A: " + b"b" * 70_000],
)
@pytest.mark.parametrize("ends", [False, True])
def test_a_head_has_a_bound(run, serving, endless, ends):
    async def main():
        async with serving() as gateway:
            end = (b" HTTP/1.1\r\n\r\n" if endless.endswith(b"a") else b"\r\n\r\n") if ends else b""
            reader, writer = await raw(gateway, endless + end)
            assert await answer(reader) in (b"HTTP/1.1 431 Request Header Fields Too Large", b"reset")
            writer.close()

    run(main())


def test_trailers_have_a_bound(run, serving):
    async def main():
        async with serving() as gateway:
            head = HEAD + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\nX-Trailer: "
            reader, writer = await raw(gateway, head)
            for _ in range(40):
                if not writer.transport.is_closing():
                    writer.write(b"a" * 8000)
                await heard(gateway)
            assert await answer(reader) in (b"HTTP/1.1 431 Request Header Fields Too Large", b"reset")
            await gateway.until(lambda: not gateway.server.server_state.connections)
            writer.close()

    run(main())


@pytest.mark.parametrize("size", [0, 1000, 60_000])
def test_a_large_body_behind_a_head_in_bounds_is_read(run, serving, size):
    async def main():
        async with serving() as gateway:
            body = b'{"commands": []}' + b" " * 200_000
            head = HEAD + b"Connection: close\r\nX-A: %b\r\nContent-Length: %d\r\n\r\n"
            reader, writer = await raw(gateway, head % (b"b" * size, len(body)) + body)
            assert await answer(reader) == b"HTTP/1.1 200 OK"
            writer.close()

    run(main())


@pytest.mark.parametrize("begun", [b"", b"GET /hea", HEAD, HEAD + b"\r\n" + HEAD])
def test_a_head_that_does_not_end_is_ended(run, serving, begun):
    async def main():
        async with serving() as gateway:
            reader, writer = await raw(gateway, begun)
            await heard(gateway)
            for _ in range(11):
                gateway.world.clock.move(1)
                if begun:
                    writer.write(b"x")
                await heard(gateway)
            await gateway.until(lambda: not gateway.server.server_state.connections)
            assert b"HTTP/1.1 " in await answer(reader)
            writer.close()

    run(main())


@pytest.mark.parametrize("framing", [b"Content-Length: 50\r\n\r\n{", b"Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n"])
def test_a_body_that_does_not_come_is_not_waited_for(run, serving, framing):
    async def main():
        async with serving() as gateway:
            reader, writer = await raw(gateway, HEAD + framing)
            await heard(gateway)
            gateway.world.clock.move(9.8)
            gateway.node.wheel.turn()
            assert len(gateway.server.server_state.connections) == 1
            for _ in range(2):
                gateway.world.clock.move(10.2)
                gateway.node.wheel.turn()
            assert await answer(reader) == b""
            await gateway.until(lambda: not gateway.server.server_state.tasks)
            writer.close()

    run(main())


def test_at_shutdown_an_unfinished_request_is_dropped(run, serving, caplog):
    async def main():
        async with serving() as gateway:
            reader, writer = await raw(gateway, HEAD + b"Content-Length: 50\r\n\r\n{")
            half, other = await raw(gateway, b"GET /hea")
            await heard(gateway)
        assert await answer(reader) == b""
        assert await answer(half) == b""
        writer.close()
        other.close()

    with caplog.at_level(logging.ERROR):
        run(main())
    assert caplog.records == []


def test_a_connection_that_is_gone_is_not_kept_by_its_deadline(run, serving):
    async def main():
        async with serving() as gateway:
            _, writer = await raw(gateway, b"GET /hea")
            await gateway.until(lambda: gateway.server.server_state.connections)
            (connection,) = gateway.server.server_state.connections
            gone = weakref.ref(connection)
            del connection
            writer.close()
            await gateway.until(lambda: not gateway.server.server_state.connections)
            await heard(gateway)
            gc.collect()
            assert gone() is None

    run(main())
