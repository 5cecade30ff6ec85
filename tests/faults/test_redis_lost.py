"""Redis forgets: all of it, or only its last moments. A loss is told, and never passes for a recovery (R3, R4)."""

import asyncio
import signal

import pytest

from loadtest.faults.events import Subscribed

pytestmark = [pytest.mark.fault, pytest.mark.sdk, pytest.mark.redis, pytest.mark.timeout(300)]

CHANNELS = ("news", "chat")
CLIENTS = 10


async def begin(fleet, *options):
    """A fleet under way: two nodes, seats in both, some publications behind them."""
    valkey = await fleet.valkey(*options)
    nodes = [await fleet.node("one"), await fleet.node("two")]
    recorder = fleet.record(nodes, CHANNELS, CLIENTS)
    await fleet.seated(recorder, CLIENTS * len(CHANNELS))
    publisher = fleet.publisher(nodes, CHANNELS)
    for number in range(20):
        await publisher.accepted(CHANNELS[number % 2], f"before-{number}")
    await fleet.settle(publisher, recorder, CHANNELS, CLIENTS)
    return valkey, recorder, publisher


def epochs(recorder, channel):
    return {event.epoch for event in recorder.subscribed() if event.channel == channel}


async def test_an_emptied_and_restarted_redis_recovers_nothing(fleet):  # L-4
    valkey, recorder, publisher = await begin(fleet)
    before = len(recorder.events)
    async with publisher.running():
        await valkey.kill()
        await asyncio.sleep(0.5)  # the load goes on while it is away
        await valkey.start()
        await asyncio.sleep(2)
    await fleet.settle(publisher, recorder, CHANNELS, CLIENTS)

    again = [event for event in recorder.events[before:] if isinstance(event, Subscribed)]
    assert len({(event.seat, event.channel) for event in again}) == CLIENTS * len(CHANNELS)
    assert {event.recovered for event in again if event.was_recovering} == {False}
    fleet.judge(publisher.events, recorder.events)


async def test_a_redis_that_lost_its_tail_recovers_nothing(fleet):  # L-5
    valkey, recorder, publisher = await begin(fleet, "--dbfilename", "dump.rdb")
    await fleet.command(valkey, "SAVE")
    for number in range(30):  # these are in no snapshot
        await publisher.accepted(CHANNELS[number % 2], f"tail-{number}")
    await fleet.settle(publisher, recorder, CHANNELS, CLIENTS)
    before = {channel: epochs(recorder, channel) for channel in CHANNELS}
    recorder.process.send_signal(signal.SIGSTOP)  # so that clients come back only after others have published
    await valkey.kill()
    await valkey.start()
    for number in range(60):  # offsets that the lost ones had are given again
        await publisher.accepted(CHANNELS[number % 2], f"after-{number}")
    recorder.process.send_signal(signal.SIGCONT)
    await fleet.settle(publisher, recorder, CHANNELS, CLIENTS)

    assert all(epochs(recorder, channel) - before[channel] for channel in CHANNELS)
    fleet.judge(publisher.events, recorder.events)
