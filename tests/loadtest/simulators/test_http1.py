"""HTTP/1.1 for those who do not speak HTTP/2: the same answers, and faults as far as it has means for them."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator
from typing import Any

import pytest

from loadtest.simulators.faults import (
    CloseConnection,
    Delay,
    GoAway,
    LimitStreams,
    ResetStream,
    Respond,
    Rule,
    Silence,
    SplitBody,
)
from loadtest.simulators.suite import Simulators

REQUEST = b"POST /v1/projects/simulator/messages:send HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}"


class LinePeer:
    """A bare HTTP/1.1 client."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def answer(self) -> tuple[int, dict[str, str], bytes]:
        async with asyncio.timeout(10):
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            headers = dict(line.split(": ", 1) for line in head[1:] if line)
            body = await self.reader.readexactly(int(headers.get("content-length", "0")))
        return int(head[0].split()[1]), headers, body

    async def rest(self) -> bytes:
        """Read until the connection ends."""
        try:
            async with asyncio.timeout(10):
                return await self.reader.read()
        except ConnectionError:
            return b""


@pytest.fixture
async def peer(sims: Simulators) -> AsyncIterator[LinePeer]:
    context = ssl.create_default_context(cafile=sims.providers["fcm"]["ca_file"])
    port = int(sims.providers["fcm"]["url"].rpartition(":")[2])
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
    yield LinePeer(reader, writer)
    writer.transport.abort()


async def test_requests_follow_each_other_on_one_connection(peer: LinePeer) -> None:
    for _ in range(2):
        peer.writer.write(REQUEST)
        status, headers, body = await peer.answer()
        assert (status, json.loads(body)["error"]["status"]) == (401, "UNAUTHENTICATED")
        assert headers["content-type"].startswith("application/json")


async def test_a_request_in_pieces(peer: LinePeer) -> None:
    for byte in range(0, len(REQUEST), 7):
        peer.writer.write(REQUEST[byte : byte + 7])
        await peer.writer.drain()
    assert (await peer.answer())[0] == 401


async def test_nonsense_is_a_bad_request(peer: LinePeer) -> None:
    peer.writer.write(b"HELLO\r\n\r\n")
    assert (await peer.answer())[0] == 400
    assert await peer.rest() == b""


async def test_respond_with_an_unnamed_status(sims: Simulators, peer: LinePeer) -> None:
    sims.faults.set([Rule(Respond(599, body="")), Rule(Respond(204, body=""))])
    peer.writer.write(REQUEST)
    status, _, body = await peer.answer()
    assert (status, body) == (599, b"")


@pytest.mark.parametrize("action", [ResetStream(), GoAway(), CloseConnection()])
async def test_what_has_no_frame_drops_the_connection(sims: Simulators, peer: LinePeer, action: Any) -> None:
    sims.faults.set([Rule(action)])
    peer.writer.write(REQUEST)
    assert await peer.rest() == b""


async def test_goaway_after_the_answer(sims: Simulators, peer: LinePeer) -> None:
    sims.faults.set([Rule(GoAway(includes_call=True))])
    peer.writer.write(REQUEST)
    assert (await peer.answer())[0] == 401
    assert await peer.rest() == b""


async def test_close_after_headers(sims: Simulators, peer: LinePeer) -> None:
    sims.faults.set([Rule(CloseConnection(after_headers=True))])
    peer.writer.write(REQUEST)
    assert (await peer.rest()).endswith(b"\r\n\r\n")


@pytest.mark.parametrize("action", [SplitBody(3), LimitStreams(1), Delay(0.01)])
async def test_what_changes_the_manner_only(sims: Simulators, peer: LinePeer, action: Any) -> None:
    sims.faults.set([Rule(action)])
    peer.writer.write(REQUEST * 2)
    assert [(await peer.answer())[0] for _ in range(2)] == [401, 401]


async def test_silence(sims: Simulators, peer: LinePeer) -> None:
    sims.faults.set([Rule(Silence())])
    peer.writer.write(REQUEST)
    async with asyncio.timeout(10):
        while not sims.statistics()["fcm"].faults:  # noqa: ASYNC110 (counters announce nothing)
            await asyncio.sleep(0)
    await sims.__aexit__(None, None, None)
    assert await peer.rest() == b""
