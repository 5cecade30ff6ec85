"""What tag filters leave behind: nothing, however many different ones come and go."""

import asyncio
import gc
import tracemalloc

from gateway.tags_filter import shared_filters

FILTERED = {"without_namespace": {"allow_subscribe_for_client": True, "allow_tags_filter": True}}


def held_filters():
    gc.collect()  # worlds of other tests are cycles
    return shared_filters()


def request(number, command_id=2):
    return {"id": command_id, "subscribe": {"channel": "a", "tf": {"key": "n", "cmp": "eq", "val": str(number)}}}


async def test_clients_with_equal_filters_share_one_cohort_and_one_filter(world):
    made, before = world(channel=FILTERED), held_filters()
    clients = [made.connected(str(number)) for number in range(20)]
    for client in clients:
        client.send(request(1))
    room = made.node.hub.room("a")
    assert len(room.cohorts) == 1
    assert held_filters() == before + 1
    held = {id(client.session.client.subscriptions["a"].grant.tags_filter[1]) for client in clients}
    assert len(held) == 1


async def test_filters_go_with_those_who_held_them(world):
    made, before = world(channel=FILTERED), held_filters()
    witness, client = made.connected("1"), made.connected("2")
    witness.send(request(0))
    room = made.node.hub.room("a")
    tracemalloc.start()
    try:
        for number in range(1, 1000):
            client.send(request(number, 2 * number), {"id": 2 * number + 1, "unsubscribe": {"channel": "a"}})
            await asyncio.sleep(0)  # the loop lets go of what it was asked to call
            if number == 300:
                gc.collect()
                settled = tracemalloc.get_traced_memory()[0]
        gc.collect()
        grown = tracemalloc.get_traced_memory()[0] - settled
    finally:
        tracemalloc.stop()
    assert len(room.cohorts) == 1
    assert held_filters() == before + 1
    assert grown < 50_000  # 700 filters would take half a megabyte
    witness.vanish()
    await made.node.tasks.drain(1)
    assert held_filters() == before


async def test_refused_filters_are_not_kept(world):
    made, before = world(channel=FILTERED), held_filters()
    client = made.connected("1")
    big = {"key": "n", "cmp": "in", "vals": ["x" * 1000] * 20}
    (reply,) = client.send({"id": 2, "subscribe": {"channel": "a", "tf": big}})
    assert reply["error"]["code"] == 107
    assert "16384 bytes" in reply["error"]["message"]
    assert held_filters() == before
