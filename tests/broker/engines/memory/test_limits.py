"""What only the memory engine promises of limits: it holds no key whose allowance is whole."""

import pytest

from broker.engines.memory.limits import MemoryLimits
from broker.limits import Rate
from config.clock import ManualClock


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def limits(clock: ManualClock) -> MemoryLimits:
    return MemoryLimits(clock)


async def test_a_flood_of_keys_stays_bounded(limits, clock):
    for number in range(10_000):
        await limits.acquire(f"k{number}", Rate(per_s=10.0, burst=1))
        clock.move(0.001)
    assert len(limits) <= 101  # each is whole again after 0.1 s


async def test_a_busy_key_is_held_until_it_rests(limits, clock):
    rate = Rate(per_s=1.0, burst=10)
    for _ in range(10):
        await limits.acquire("busy", rate)
    clock.move(1)
    await limits.acquire("other", rate)
    assert len(limits) == 2
    assert [await limits.acquire("busy", rate) > 0 for _ in range(2)] == [False, True]
    clock.move(20)
    await limits.acquire("third", rate)
    assert len(limits) == 1


async def test_a_key_that_rested_and_was_not_swept_has_its_burst_and_no_more(limits, clock):
    rate = Rate(per_s=1.0, burst=2)
    for number in range(20):
        await limits.acquire(f"k{number:02}", rate)
    clock.move(3600)
    assert [await limits.acquire("k19", rate) > 0 for _ in range(3)] == [False, False, True]


async def test_a_refusal_holds_nothing(limits):
    await limits.spend("k", Rate(1.0, 1), cost=2)
    assert len(limits) == 0


async def test_clear_makes_every_allowance_whole(limits):
    await limits.acquire("k", Rate(1.0, 1))
    limits.clear()
    assert len(limits) == 0
    assert await limits.acquire("k", Rate(1.0, 1)) == 0.0
