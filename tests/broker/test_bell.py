"""A bell wakes by a ring or by time, and keeps a ring that nobody heard."""

import asyncio

from broker.bell import Bell


async def test_a_ring_wakes(clock):
    bell = Bell(clock)
    sleeping = asyncio.create_task(bell.wait_for(1000.0))
    await clock.advance(1.0)
    assert not sleeping.done()
    bell.ring()
    await sleeping


async def test_time_wakes(clock):
    bell = Bell(clock)
    sleeping = asyncio.create_task(bell.wait_for(10.0))
    await clock.advance(9.9)
    assert not sleeping.done()
    await clock.advance(0.1)
    await sleeping
    assert not bell.is_rung


async def test_a_ring_is_kept_once_and_can_be_taken_back(clock):
    bell = Bell(clock)
    bell.ring()
    bell.ring()
    await bell.wait()
    assert not bell.is_rung
    bell.ring()
    await bell.wait_for(1000.0)
    bell.ring()
    bell.silence()
    assert not bell.is_rung
