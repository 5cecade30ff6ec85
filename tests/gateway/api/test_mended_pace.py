"""Large calls: they let the loop turn, and cost neither their subscribers nor the others anything."""

import asyncio

import pytest

OPEN = {"without_namespace": {"allow_subscribe_for_client": True}}


async def turns_during(work):
    """Count the turns that the loop made until a task was done."""
    task, turns = asyncio.ensure_future(work), 0
    while not task.done():
        await asyncio.sleep(0)
        turns += 1
    return turns, await task


def largest_write(client):
    """Have a client's transport tell the largest amount that one turn left in it."""
    sizes = []
    client.transport.write = client.session.client.write = lambda frame: sizes.append(len(frame))
    return sizes


def subscribed(world, channel="a"):
    client = world.connected()
    client.send({"id": 2, "subscribe": {"channel": channel}})
    return client


@pytest.mark.parametrize("parallel", [False, True])
async def test_a_large_batch_leaves_in_many_frames(world, api, parallel):
    world = world(channel=OPEN)
    sizes = largest_write(subscribed(world))
    commands = [{"publish": {"channel": "a", "data": "x" * 1000}} for _ in range(1000)]
    result = await api(world).post("batch", {"commands": commands, "parallel": parallel})
    await asyncio.sleep(0)
    assert len(result.json()["replies"]) == 1000
    assert all("publish" in reply for reply in result.json()["replies"])
    assert sum(sizes) > 1_000_000
    assert max(sizes) < 100_000


async def test_a_large_broadcast_leaves_in_many_frames(world, api):
    world = world(channel=OPEN)
    client = subscribed(world)
    for number in range(100):
        client.send({"id": 3 + number, "subscribe": {"channel": f"c{number}"}})
    sizes = largest_write(client)
    channels = [f"c{number}" for number in range(100)]
    result = await api(world).result("broadcast", channels=channels, data="x" * 10_000)
    await asyncio.sleep(0)
    assert len(result["responses"]) == 100
    assert sum(sizes) > 1_000_000
    assert max(sizes) < 150_000


@pytest.mark.parametrize("parallel", [False, True])
async def test_a_batch_of_many_commands_lets_the_loop_turn(world, api, parallel):
    opened = api(world())
    commands = [{"publish": {"channel": "nobody", "data": 1}} for _ in range(5000)]
    few, _ = await turns_during(opened.post("batch", {"commands": commands[:16], "parallel": parallel}))
    many, result = await turns_during(opened.post("batch", {"commands": commands, "parallel": parallel}))
    assert many >= few + (5000 // 64 if not parallel else 5000 // 1024)
    assert len(result.json()["replies"]) == 5000


async def test_a_small_batch_leaves_in_one_frame(world, api):
    world = world(channel=OPEN)
    sizes = largest_write(subscribed(world))
    commands = [{"publish": {"channel": "a", "data": number}} for number in range(16)]
    await api(world).post("batch", {"commands": commands})
    await asyncio.sleep(0)
    assert len(sizes) == 1


@pytest.mark.parametrize("count", [0, 1, 1023, 1024, 1025, 3000])
async def test_replies_of_parallel_batches_keep_their_order(world, api, count):
    commands = [{"publish": {"channel": f"c{number % 2}" if number % 2 else "", "data": 1}} for number in range(count)]
    result = await api(world()).post("batch", {"commands": commands, "parallel": True})
    assert ["error" in reply for reply in result.json()["replies"]] == [number % 2 == 0 for number in range(count)]
