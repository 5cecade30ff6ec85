"""The end of a server, over a real socket."""

import asyncio
import socket

import pytest

from gateway.server import HttpServer


class Slow:
    """An application that answers when it is let."""

    def __init__(self):
        self.asked, self.may_answer, self.was_given_up = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def __call__(self, scope, _receive, send):
        self.asked.set()
        try:
            await self.may_answer.wait()
        except asyncio.CancelledError:
            self.was_given_up.set()
            raise
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": scope["path"].encode()})


@pytest.fixture
async def app():
    return Slow()


@pytest.fixture
def start(app):
    """Start a server that is asked for something at once; gives it, its end to wait for, and the one who asked."""

    async def make(goodbye_s):
        listener = socket.create_server(("127.0.0.1", 0))
        server = HttpServer(app, goodbye_s=goodbye_s)
        running = asyncio.create_task(server.run_on(listener))
        await server.listening.wait()
        _answer, writer = peer = await asyncio.open_connection(*listener.getsockname())
        writer.write(b"GET /high-water HTTP/1.1\r\nHost: a\r\n\r\n")
        await app.asked.wait()
        return server, running, peer

    return make


async def test_a_request_that_is_under_way_finishes_and_nobody_else_comes_in(app, start):
    server, running, (answer, writer) = await start(goodbye_s=30)
    server.should_exit = True
    while server.servers[0].is_serving():  # noqa: ASYNC110 (it has no event for it)
        await asyncio.sleep(0)
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection(*writer.get_extra_info("peername"))
    assert not running.done()
    app.may_answer.set()
    assert (await answer.read()).endswith(b"\r\n/high-water\r\n0\r\n\r\n")
    await running
    writer.close()
    assert not app.was_given_up.is_set()


async def test_a_request_that_does_not_end_is_given_up(app, start):
    server, running, (_answer, writer) = await start(goodbye_s=0)
    server.should_exit = True
    await running
    writer.close()
    await app.was_given_up.wait()


async def test_one_who_was_let_in_a_moment_ago_is_heard(app, start):
    server, running, (_answer, first) = await start(goodbye_s=30)
    answer, late = await asyncio.open_connection(*first.get_extra_info("peername"))
    while len(server.server_state.connections) < 2:  # noqa: ASYNC110 (it has no event for it)
        await asyncio.sleep(0)
    server.should_exit = True
    while server.servers[0].is_serving():  # noqa: ASYNC110 (as well)
        await asyncio.sleep(0)
    for _ in range(9):  # turns in which it could be closed
        await asyncio.sleep(0)
    late.write(b"GET /late HTTP/1.1\r\nHost: a\r\n\r\n")
    app.may_answer.set()
    assert (await answer.read()).endswith(b"\r\n/late\r\n0\r\n\r\n")
    await running
    first.close()
    late.close()


async def test_a_server_that_was_told_to_end_before_it_began_ends(app):
    server = HttpServer(app, goodbye_s=1)
    server.should_exit = True
    await server.run_on(socket.create_server(("127.0.0.1", 0)))
