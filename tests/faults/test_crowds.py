"""Many clients at once: sent away gently (R2), and coming back all together (R8)."""

import asyncio
import signal

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

pytestmark = [pytest.mark.fault, pytest.mark.sdk, pytest.mark.redis, pytest.mark.timeout(300)]

CHANNELS = ("news",)
SDK_CLIENTS = 20
CROWD = 1000
DRAIN_S = 30.0


class Crowd:
    """Lean clients of one node that only stay, answer pings and note with which code they were sent away."""

    def __init__(self) -> None:
        self.codes: list[int] = []
        self.connected = 0
        self._tasks: set[asyncio.Task[None]] = set()

    async def fill(self, port: int, count: int) -> None:
        gate = asyncio.Semaphore(50)
        connected = asyncio.Event()

        async def stay() -> None:
            async with gate:
                socket = await connect(f"ws://127.0.0.1:{port}/connection/websocket", open_timeout=60)
                await socket.send('{"id":1,"connect":{}}')
                await socket.recv()
            self.connected += 1
            if self.connected == count:
                connected.set()
            try:
                while True:
                    if await socket.recv() == "{}":
                        await socket.send("{}")
            except ConnectionClosed as exc:
                self.codes.append(exc.rcvd.code if exc.rcvd else 1006)

        self._tasks = {asyncio.create_task(stay()) for _ in range(count)}
        await connected.wait()

    async def all_gone(self) -> None:
        await asyncio.wait(self._tasks)


async def test_a_node_that_is_told_to_go_sends_its_clients_away_gently(fleet):
    await fleet.valkey()
    nodes = [await fleet.node("one", HELIOGRAPH_NODE__SHUTDOWN_SPREAD="5s"), await fleet.node("two")]
    recorder = fleet.record(nodes, CHANNELS, SDK_CLIENTS)
    await fleet.seated(recorder, SDK_CLIENTS)
    crowd = Crowd()
    await crowd.fill(nodes[0].port, CROWD)
    publisher = fleet.publisher(nodes[1:], CHANNELS)
    async with publisher.running(), asyncio.timeout(DRAIN_S):
        assert await nodes[0].end(signal.SIGTERM) == 0
        await crowd.all_gone()
    await fleet.settle(publisher, recorder, CHANNELS, SDK_CLIENTS)

    assert crowd.codes == [3001] * CROWD
    assert len(recorder.notes("connecting 3001")) == SDK_CLIENTS / 2, "the half that was here is told to come back"
    fleet.judge(publisher.events, recorder.events)


async def test_a_crowd_that_comes_back_at_once_is_let_in_bit_by_bit(fleet):
    await fleet.valkey()
    clients = 300
    node = await fleet.node("one", HELIOGRAPH_CLIENT__CONNECTION_RATE_LIMIT="60")
    recorder = fleet.record([node], CHANNELS, clients)
    await fleet.seated(recorder, clients)
    publisher = fleet.publisher([node], CHANNELS, per_s=10)
    async with publisher.running():
        await node.kill()
        before = len(recorder.notes("connected"))
        await node.start()
        await fleet.until(lambda: len(recorder.notes("connected")) >= before + clients, "everybody is back", 60)
    await fleet.settle(publisher, recorder, CHANNELS, clients)

    assert node.process.poll() is None
    fleet.judge(publisher.events, recorder.events)
