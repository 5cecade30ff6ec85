"""Sending clients away: everybody at the end, a share on request; never as a crowd."""

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.control import Shed
from config.clock import ManualClock, settle
from gateway.draining import Farewell, choose_share, draining_pace
from gateway.protocol import disconnects

HEARS_OF_OTHERS = {
    "without_namespace": {
        "join_leave": True,
        "force_push_join_leave": True,
        "presence": True,
        "allow_subscribe_for_client": True,
        "allow_publish_for_client": True,
    }
}
SHUTDOWN = (3001, "shutdown")
RECONNECT = (3011, "force reconnect")


class Leaver:
    """Somebody to say goodbye to."""

    def __init__(self, clock):
        self.clock, self.left_at = clock, None

    def disconnect(self, disconnect):
        assert self.left_at is None, "told twice"
        self.left_at = self.clock.monotonic()


@given(count=st.integers(0, 3000), spread_s=st.floats(0.5, 30))
@settings(deadline=None, max_examples=40)
def test_the_last_has_heard_it_within_the_spread_and_none_as_a_crowd(count, spread_s):
    async def main():
        clock = ManualClock()
        began_at = clock.monotonic()
        leavers = [Leaver(clock) for _ in range(count)]
        pace = draining_pace(count, spread_s)
        running = asyncio.create_task(Farewell(leavers, disconnects.SHUTDOWN, pace, clock).run())
        await clock.advance(spread_s)
        await asyncio.wait_for(running, 30)
        at_once = max([sum(leaver.left_at == moment for leaver in leavers) for moment in {le.left_at for le in leavers}] or [0])
        assert all(leaver.left_at <= began_at + spread_s for leaver in leavers)
        assert at_once <= pace * 0.1 + 2  # both ends of a step may be rounded

    asyncio.run(main())


@pytest.mark.parametrize(("count", "spread_s", "pace"), [(10, 20, 500), (10_000, 20, 500), (50_000, 20, 2500), (0, 20, 500)])
def test_few_go_without_delay_and_many_within_the_spread(count, spread_s, pace):
    assert draining_pace(count, spread_s) == pace


async def test_a_loop_that_is_late_catches_up():
    clock = ManualClock()
    leavers = [Leaver(clock) for _ in range(1000)]
    running = asyncio.create_task(Farewell(leavers, disconnects.SHUTDOWN, 100, clock).run())
    await settle()
    clock.move(5)
    await clock.advance(0.1)
    assert sum(leaver.left_at is not None for leaver in leavers) >= 500
    running.cancel()


async def test_in_a_hurry_the_rest_goes_at_the_next_step():
    clock = ManualClock()
    leavers = [Leaver(clock) for _ in range(1000)]
    farewell = Farewell(leavers, disconnects.SHUTDOWN, 10, clock)
    running = asyncio.create_task(farewell.run())
    await clock.advance(1)
    farewell.hurry()
    await clock.advance(0.1)
    await asyncio.wait_for(running, 30)
    assert all(leaver.left_at is not None for leaver in leavers)


async def test_a_drain_is_staggered_and_loses_nobody(world):
    world = world(channel=HEARS_OF_OTHERS)
    clients = [world.connected(str(number)) for number in range(1200)]
    draining = asyncio.create_task(world.node.drain(3, spread_s=2))
    await settle()
    told = sum(client.closed is not None for client in clients)
    assert 0 < told <= 100
    assert not world.node.readiness.is_ready
    await world.clock.advance(1)
    assert told < sum(client.closed is not None for client in clients) < 1200
    for client in clients:
        client.vanish()
    await world.clock.advance(2)
    await asyncio.wait_for(draining, 30)
    assert {client.closed for client in clients} <= {SHUTDOWN, None}  # None: gone by itself before it was told
    assert world.node.statistics().transports == 0


async def test_those_still_here_get_what_is_published_but_not_who_leaves(world):
    world = world(channel=HEARS_OF_OTHERS)
    clients = [world.connected(str(number)) for number in range(150)]
    for client in clients:
        client.send({"id": 2, "subscribe": {"channel": "a"}})
    for client in clients:
        client.read()
    draining = asyncio.create_task(world.node.drain(1, spread_s=0.25))
    await settle()
    here = [client for client in clients if client.closed is None]
    assert 0 < len(here) < 150
    here[0].send({"id": 3, "publish": {"channel": "a", "data": 1}})
    assert [list(message["push"]) for message in here[1].read()] == [["channel", "pub"]]
    assert (await world.engine.presence.stats("a")).clients == len(here), "the fleet knows who has gone"
    for client in clients:
        client.vanish()
    await world.clock.advance(2)
    await draining


async def test_a_hurried_drain_tells_all_who_are_left(world):
    world = world()
    clients = [world.connected(str(number)) for number in range(1000)]
    draining = asyncio.create_task(world.node.drain(1, spread_s=60))
    await settle()
    world.node.hurry()
    await world.clock.advance(0.1)
    assert {client.closed for client in clients} == {SHUTDOWN}
    await world.clock.advance(2)
    await draining


def test_a_share_is_rounded_up_and_drawn_by_chance():
    clock = ManualClock()
    clients = list(range(100))
    assert len(choose_share(clients, 0.101, clock)) == 11
    assert sorted(choose_share(clients, 1.0, clock)) == clients
    assert choose_share([], 0.5, clock) == []
    assert choose_share(clients, 0.1, clock) != choose_share(clients, 0.1, clock)


@pytest.mark.parametrize("named", ["", "name", "uid"])
async def test_shedding_sends_a_share_away_over_its_spread(world, named):
    world = world(node={"name": "gateway-1"})
    node = {"": "", "name": "gateway-1", "uid": world.node.uid}[named]
    clients = [world.connected(str(number)) for number in range(100)]
    await world.engine.control.send(Shed(node, 0.3, 10))
    await settle()
    first = sum(client.closed is not None for client in clients)
    assert 0 < first < 30
    await world.clock.advance(10)
    told = [client for client in clients if client.closed is not None]
    assert {client.closed for client in told} == {RECONNECT}
    assert len(told) == 30
    assert world.node.readiness.is_ready
    assert world.client().connect(token=world.token())["client"], "whoever comes back is let in"


async def test_another_nodes_share_is_none_of_ours(world):
    world = world(node={"name": "gateway-1"})
    client = world.connected()
    await world.engine.control.send(Shed("gateway-2", 1.0, 0))
    await settle()
    assert client.closed is None


async def test_a_shedding_under_way_does_not_hold_up_the_end(world):
    world = world()
    clients = [world.connected(str(number)) for number in range(50)]
    await world.engine.control.send(Shed("", 1.0, 3600))
    draining = asyncio.create_task(world.node.drain(1))
    await settle()
    for client in clients:
        client.vanish()
    await world.clock.advance(0.5)
    await asyncio.wait_for(draining, 30)
