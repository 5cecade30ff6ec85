"""The HTTP client on a scripted server: framing of answers, keep-alive, failures."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from loadtest.http_client import HttpConnection, HttpFailed
from loadtest.target import Target

Answer = Callable[[asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def serving(*answers: bytes) -> AsyncIterator[tuple[Target, list[bytes], list[int]]]:
    """Answer requests in turn with raw bytes; an empty answer closes. Gives the target, the requests, the connections."""
    requests: list[bytes] = []
    connections: list[int] = []
    waiting = list(answers)

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(1)
        while True:
            try:
                head = await reader.readuntil(b"\r\n\r\n")
            except asyncio.IncompleteReadError:
                break
            length = next(int(line[16:]) for line in head.split(b"\r\n") if line.startswith(b"Content-Length: "))
            requests.append(head + await reader.readexactly(length))
            answer = waiting.pop(0)
            writer.write(answer)
            if not answer or b"Connection: close" in answer or (b"Content" not in answer and b"chunked" not in answer):
                break
        writer.close()

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    async with server:
        yield Target("127.0.0.1", server.sockets[0].getsockname()[1], prefix="/x"), requests, connections


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"


async def test_requests_share_one_connection_and_carry_the_key() -> None:
    async with serving(OK, OK) as (target, requests, connections):
        client = HttpConnection(target, "k")
        assert await client.post("/api/publish", b"{}") == (200, b"hi")
        assert await client.get("/dev/outbox") == (200, b"hi")
        await client.aclose()
    assert requests[0].startswith(b"POST /x/api/publish HTTP/1.1\r\n")
    assert b"X-API-Key: k\r\n" in requests[0]
    assert requests[0].endswith(b"\r\n\r\n{}")
    assert requests[1].startswith(b"GET /x/dev/outbox HTTP/1.1\r\n")
    assert len(connections) == 1


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;x=y\r\nh\r\n1\r\ni\r\n0\r\nTrailer: t\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\nhi",
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi",
    ],
    ids=["chunked", "until closed", "close"],
)
async def test_every_framing_of_a_body_is_read_and_the_next_request_works(answer: bytes) -> None:
    async with serving(answer, OK) as (target, _, _):
        client = HttpConnection(target, "k")
        assert await client.get("/") == (200, b"hi")
        assert await client.get("/") == (200, b"hi")
        await client.aclose()


@pytest.mark.parametrize("answer", [b"", b"nonsense\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n"])
async def test_no_whole_answer_is_a_failure_and_the_next_request_opens_anew(answer: bytes) -> None:
    async with serving(answer, OK) as (target, _, connections):
        client = HttpConnection(target, "k")
        with pytest.raises(HttpFailed):
            await client.get("/")
        assert await client.get("/") == (200, b"hi")
        await client.aclose()
    assert len(connections) == 2


async def test_a_port_without_a_listener_is_a_failure(free_port: Callable[[], int]) -> None:
    with pytest.raises(HttpFailed, match=r"refused|Connect"):
        await HttpConnection(Target("127.0.0.1", free_port()), "k").get("/")


async def test_callers_that_overlap_wait_for_each_other() -> None:
    answers = (b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n1", b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n2")
    async with serving(*answers) as (target, _requests, connections):
        connection = HttpConnection(target, "key")
        got = await asyncio.gather(connection.get("/a"), connection.get("/b"))
        await connection.aclose()
    assert got == [(200, b"1"), (200, b"2")]
    assert connections == [1]
