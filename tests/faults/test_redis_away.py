"""Redis is gone for a while, or stands still: clients stay, publishers are told at once, and all goes on by itself (R5)."""

import asyncio
import signal

import pytest

pytestmark = [pytest.mark.fault, pytest.mark.sdk, pytest.mark.redis, pytest.mark.timeout(300)]

CHANNELS = ("news", "chat")
CLIENTS = 10
AWAY_S = 12.0


async def begin(fleet, *options):
    valkey = await fleet.valkey(*options)
    nodes = [await fleet.node("one"), await fleet.node("two")]
    recorder = fleet.record(nodes, CHANNELS, CLIENTS)
    await fleet.seated(recorder, CLIENTS * len(CHANNELS))
    return valkey, recorder, fleet.publisher(nodes, CHANNELS, per_s=30)


async def test_away(fleet):  # L-3
    valkey, recorder, publisher = await begin(fleet, "--appendonly", "yes", "--appendfsync", "always")
    async with publisher.running():
        await asyncio.sleep(1)
        await valkey.kill()
        await asyncio.sleep(AWAY_S)
        refused = publisher.answered("unknown")
        await valkey.start()
        await asyncio.sleep(2)
    await fleet.settle(publisher, recorder, CHANNELS, CLIENTS)

    assert refused > 0, "publishers were told"
    assert publisher.unanswered == 0, "every publisher was answered before it gave up"
    assert recorder.notes("connecting 3") == recorder.notes("disconnected") == [], "no client was sent away"
    assert len(recorder.notes("connected")) == CLIENTS
    fleet.judge(publisher.events, recorder.events)


async def test_frozen(fleet):  # L-3
    valkey, recorder, publisher = await begin(fleet)
    async with publisher.running():
        await asyncio.sleep(1)
        valkey.tell(signal.SIGSTOP)
        await asyncio.sleep(10)
        valkey.tell(signal.SIGCONT)
        await asyncio.sleep(2)
    await fleet.settle(publisher, recorder, CHANNELS, CLIENTS)

    assert publisher.unanswered == 0, "every publisher was answered before it gave up"
    assert len(recorder.notes("connected")) == CLIENTS, "no client was sent away"
    fleet.judge(publisher.events, recorder.events)
