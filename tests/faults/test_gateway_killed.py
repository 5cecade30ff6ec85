"""A gateway node is killed again and again under load; official clients come back and miss nothing (R1)."""

import asyncio

import pytest

pytestmark = [pytest.mark.fault, pytest.mark.sdk, pytest.mark.redis, pytest.mark.timeout(300)]

CHANNELS = ("news", "chat")
CLIENTS = 20
KILLS = 20


async def test_clients_miss_nothing_of_what_was_accepted(fleet):  # L-1
    await fleet.valkey()
    nodes = [await fleet.node("one"), await fleet.node("two")]
    recorder = fleet.record(nodes, CHANNELS, CLIENTS)
    await fleet.seated(recorder, CLIENTS * len(CHANNELS))
    publisher = fleet.publisher(nodes, CHANNELS, per_s=60)
    async with publisher.running():
        for number in range(KILLS):
            node = nodes[number % 2]
            await node.kill()
            await asyncio.sleep(0.3)  # the load goes on while it is away
            await node.start()
            await asyncio.sleep(0.7)
    await fleet.settle(publisher, recorder, CHANNELS, CLIENTS)

    assert publisher.answered("accepted") > KILLS
    assert len(recorder.notes("connecting")) > CLIENTS * KILLS / 2, "every kill throws about half of them out"
    fleet.judge(publisher.events, recorder.events)
