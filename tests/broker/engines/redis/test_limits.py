"""What only a fleet promises of limits: one allowance for all nodes, kept no longer than it needs to be."""

import asyncio

from broker.limits import Rate

SLOW = Rate(per_s=0.01, burst=3)


async def test_nodes_spend_from_one_allowance(join):
    one, two = await join(), await join()
    waits = [await member.fleet.limits.acquire("k", SLOW) for member in (one, two, one, two)]
    assert waits[:3] == [0.0, 0.0, 0.0]
    assert 99 < waits[3] <= 100


async def test_at_once_no_more_is_spent_than_there_is(join):
    one, two = await join(), await join()
    waits = await asyncio.gather(*(member.fleet.limits.acquire("k", SLOW) for member in (one, two) for _ in range(20)))
    assert waits.count(0.0) == 3


async def test_an_allowance_that_would_be_whole_is_not_kept(join, stored, raw):
    one = await join()
    await one.fleet.limits.acquire("k", SLOW)
    (key,) = await stored("limit")
    assert 99_000 < await raw.pttl(key) <= 100_002
    await one.fleet.limits.acquire("quick", Rate(per_s=100_000.0, burst=1))
    assert len(await stored("limit")) <= 2


async def test_fractions_of_a_microsecond_are_told(join):
    one = await join()
    rate = Rate(per_s=0.003, burst=1)
    assert await one.fleet.limits.acquire("k", rate) == 0.0
    assert 333.2 < await one.fleet.limits.acquire("k", rate) < 333.34
