"""How long a connection may rest between two requests: five seconds, whatever came before."""

import asyncio
import gc
import json
import weakref

import pytest

GET = b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n"
# Refused for its size, before it has come.
LARGE = b"POST /api/nothing HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\n"


@pytest.fixture
def used(serving):
    """A connection to a gateway, one request of which was answered."""
    return lambda: Used(serving(health={"enabled": True}))


class Used:
    def __init__(self, gateway):
        self._gateway = gateway

    async def __aenter__(self):
        self.gateway = await self._gateway.__aenter__()
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.gateway.port)
        await self.ask(GET)
        return self

    async def __aexit__(self, *exc_info):
        self.writer.close()
        await self._gateway.__aexit__(*exc_info)

    async def ask(self, request):
        self.writer.write(request)
        return await self.answered()

    async def answered(self):
        """Take one answer; tells its status."""
        async with asyncio.timeout(30):
            head = await self.reader.readuntil(b"\r\n\r\n")
            length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
            await self.reader.readexactly(int(length.partition(b":")[2]))
        return int(head.split()[1])

    def passes(self, seconds):
        self.gateway.world.clock.move(seconds)
        self.gateway.node.wheel.turn()

    @property
    def connections(self):
        return self.gateway.server.server_state.connections

    async def ends(self):
        async with asyncio.timeout(30):
            return await self.reader.read()


def test_one_that_is_not_used_for_five_seconds_is_closed(run, used):
    async def main():
        async with used() as connection:
            connection.passes(4.9)
            assert not next(iter(connection.connections)).transport.is_closing()
            connection.passes(0.2)
            assert await connection.ends() == b""
            await connection.gateway.until(lambda: not connection.connections)

    run(main())


def test_the_five_seconds_count_from_the_last_answer(run, used):
    async def main():
        async with used() as connection:
            for _ in range(5):
                connection.passes(3)
                assert await connection.ask(GET) == 200
            connection.passes(4.8)
            assert await connection.ask(GET) == 200
            connection.passes(5.2)
            assert await connection.ends() == b""

    run(main())


def test_requests_that_come_at_once_are_answered_one_by_one_and_waited_after(run, used):
    async def main():
        async with used() as connection:
            assert [await connection.ask(GET * 3), await connection.answered(), await connection.answered()] == [200] * 3
            connection.passes(4.8)
            assert await connection.ask(GET) == 200
            connection.passes(5.2)
            assert await connection.ends() == b""

    run(main())


def test_a_request_whose_head_had_begun_with_the_answer_before_it_is_not_cut_off(run, serving):
    async def main():
        async with Used(serving(health={"enabled": True}, http_stream={"enabled": True})) as connection:
            body = json.dumps({"id": 1, "connect": {"token": connection.gateway.world.token()}}).encode()
            stream = b"POST /connection/http_stream HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body) + body
            assert await connection.ask(GET + stream[:9]) == 200
            connection.writer.write(stream[9:])
            async with asyncio.timeout(30):
                assert b" 200 " in await connection.reader.readuntil(b"\r\n\r\n")
                await connection.reader.readuntil(b"}}\n")
            (served,) = connection.connections
            connection.passes(6)
            assert not served.transport.is_closing()

    run(main())


def test_lines_between_requests_are_no_use_of_it(run, used):
    """A parser passes over them, and nothing else would look after a peer that sends one now and then."""

    async def main():
        async with used() as connection:
            connection.passes(4)
            (served,) = connection.connections
            served._has_heard = False
            connection.writer.write(b"\r\n")
            await connection.gateway.until(lambda: served._has_heard)
            connection.passes(1.2)
            assert await connection.ends() == b""

    run(main())


def test_what_still_comes_of_a_request_that_was_answered_early_is_waited_for(run, used):
    async def main():
        async with used() as connection:
            assert await connection.ask(LARGE) == 404
            connection.writer.write(b"a")
            await connection.gateway.until(lambda: next(iter(connection.connections))._note is not None)
            connection.passes(6)
            assert await connection.ask(b"bc" + GET) == 200
            connection.passes(5.2)
            assert await connection.ends() == b""

    run(main())


def test_after_the_rest_of_such_a_request_the_five_seconds_count_again(run, used):
    async def main():
        async with used() as connection:
            assert await connection.ask(LARGE) == 404
            (served,) = connection.connections
            connection.writer.write(b"abc")
            await connection.gateway.until(lambda: not served.cycle.more_body)
            connection.passes(5.2)
            assert await connection.ends() == b""

    run(main())


def test_one_that_is_gone_is_not_kept_by_the_wait_for_its_next_request(run, used):
    async def main():
        async with used() as connection:
            gone = weakref.ref(next(iter(connection.connections)))
            connection.writer.close()
            await connection.gateway.until(lambda: not connection.connections)
            await asyncio.sleep(0)
            gc.collect()
            assert gone() is None

    run(main())
