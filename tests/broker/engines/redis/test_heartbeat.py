"""The heart beats by itself, whatever happens, and ends when it is told to."""

import structlog

from broker.engines.redis.leases import BEAT_S, LEASE_S
from broker.model import ClientInfo

ANN = ClientInfo("ann", "c1")


async def test_leases_outlive_beats():
    assert LEASE_S >= 3 * BEAT_S


async def test_it_beats_by_itself(join, clock, until):
    one = await join()
    await one.age(25)
    before = one.link.runs
    await clock.advance(BEAT_S)
    await until(lambda: one.link.runs > before)
    assert await one.lease_left_ms() > 1000 * (LEASE_S - BEAT_S)


async def test_woken_it_beats_at_once(join, until):
    one = await join()
    before = one.link.runs
    one.fleet.heartbeat.wake()
    await until(lambda: one.link.runs > before)


async def test_it_goes_on_when_redis_was_away(join, clock, cut_off, until, empty):
    one = await join()
    await one.fleet.presence.add("room", ANN)
    with cut_off(one):
        for _ in range(10):
            await clock.advance(BEAT_S)
        await empty()
    before = one.link.runs
    await clock.advance(BEAT_S)
    await until(lambda: one.link.runs > before)
    two = await join()
    await until(lambda: not one.fleet.presence.holdings.owed)
    assert await two.fleet.presence.members("room") == {"c1": ANN}


async def test_closed_it_does_nothing_more(join, clock):
    one = await join()
    await one.fleet.close()
    await one.fleet.close()
    before = one.link.runs
    await clock.advance(10 * BEAT_S)
    assert one.link.runs == before


async def test_closing_with_redis_away_leaves_the_rest_to_others(join, cut_off):
    one, two = await join(), await join()
    await two.fleet.presence.add("room", ANN)
    with cut_off(two), structlog.testing.capture_logs() as logs:
        await two.fleet.close()
    assert [entry["event"] for entry in logs] == ["lease.left"]
    await two.die()
    await one.beat()
    assert await one.fleet.presence.members("room") == {}


async def test_one_that_never_started_may_be_closed(join):
    member = await join(is_started=False)
    await member.fleet.close()
