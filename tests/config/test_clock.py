"""Both clocks: what they promise alike, and how a manual one is moved."""

import asyncio
import uuid
from datetime import UTC, datetime, timedelta

import pytest

from config.clock import Clock, ManualClock, SystemClock

BOTH = pytest.mark.parametrize("make_clock", [SystemClock, ManualClock])


# Alike


@BOTH
def test_wall_time_is_aware_and_in_utc(make_clock):
    assert make_clock().now().utcoffset() == timedelta(0)


@BOTH
def test_readings_never_go_back(make_clock):
    clock: Clock = make_clock()
    readings = [clock.monotonic() for _ in range(100)]
    assert readings == sorted(readings)


@BOTH
def test_a_spread_lies_between_zero_and_one(make_clock):
    clock = make_clock()
    drawn = [clock.spread() for _ in range(1000)]
    assert all(0 <= part < 1 for part in drawn)
    assert min(drawn) < 0.1 < 0.9 < max(drawn)


@BOTH
def test_ids_are_version_seven_and_carry_the_time(make_clock):
    clock = make_clock()
    before = int(clock.now().timestamp() * 1000)
    made = clock.new_id()
    after = int(clock.now().timestamp() * 1000)
    assert (made.version, made.variant) == (7, uuid.RFC_4122)
    assert before <= made.int >> 80 <= after


@BOTH
def test_ids_differ(make_clock):
    clock = make_clock()
    assert len({clock.new_id() for _ in range(1000)}) == 1000


@BOTH
@pytest.mark.parametrize("seconds", [0, -1])
async def test_a_sleep_of_nothing_gives_others_a_turn(make_clock, seconds):
    turns = []
    other = asyncio.create_task(make_clock().sleep(0))
    other.add_done_callback(lambda _: turns.append("other"))
    for _ in range(5):
        await make_clock().sleep(seconds)
    assert turns == ["other"]


# Manual


def test_a_manual_clock_stands_still():
    clock = ManualClock()
    assert (clock.now(), clock.monotonic()) == (clock.now(), clock.monotonic())


def test_a_manual_clock_starts_where_told():
    start = datetime(2030, 5, 1, 12, 30, tzinfo=UTC)
    assert ManualClock(start).now() == start


def test_the_same_seed_gives_the_same_chance():
    one, same, other = ManualClock(seed=7), ManualClock(seed=7), ManualClock(seed=8)
    drawn = [one.spread() for _ in range(5)]
    assert drawn == [same.spread() for _ in range(5)]
    assert drawn != [other.spread() for _ in range(5)]
    assert one.new_id() == same.new_id()


def test_moving_moves_wall_time_and_readings_alike():
    clock = ManualClock()
    now, reading = clock.now(), clock.monotonic()
    clock.move(90.5)
    assert clock.now() - now == timedelta(seconds=90.5)
    assert clock.monotonic() - reading == 90.5


def test_the_order_of_ids_follows_time():
    clock = ManualClock()
    made = []
    for _ in range(100):
        made.append(clock.new_id())
        clock.move(0.001)
    assert made == sorted(made)


async def test_a_sleeper_wakes_at_its_deadline_and_not_before():
    clock = ManualClock()
    sleeper = asyncio.create_task(clock.sleep(10))
    await clock.advance(9.5)
    assert not sleeper.done()
    await clock.advance(0.5)
    assert sleeper.done()


async def test_sleepers_wake_in_the_order_of_their_deadlines_each_at_its_own_moment():
    clock = ManualClock()
    start = clock.monotonic()
    woken = []

    async def sleep(seconds: float) -> None:
        await clock.sleep(seconds)
        woken.append((seconds, clock.monotonic() - start))

    sleepers = [asyncio.create_task(sleep(seconds)) for seconds in (30, 10, 20, 99)]
    await clock.advance(50)
    assert woken == [(10, 10), (20, 20), (30, 30)]
    assert clock.monotonic() - start == 50
    sleepers[-1].cancel()


async def test_a_sleeper_that_sleeps_again_wakes_as_often_as_it_should():
    clock = ManualClock()
    start = clock.monotonic()
    ticks = []

    async def tick() -> None:
        while True:
            await clock.sleep(10)
            ticks.append(clock.monotonic() - start)

    ticking = asyncio.create_task(tick())
    await clock.advance(35)
    assert ticks == [10, 20, 30]
    ticking.cancel()


async def test_a_cancelled_sleeper_is_passed_over():
    clock = ManualClock()
    cancelled, other = asyncio.create_task(clock.sleep(5)), asyncio.create_task(clock.sleep(6))
    await clock.advance(1)
    cancelled.cancel()
    await clock.advance(10)
    assert cancelled.cancelled()
    assert other.done()


async def test_moving_wakes_nobody_until_time_advances():
    clock = ManualClock()
    sleeper = asyncio.create_task(clock.sleep(5))
    await clock.advance(0)
    clock.move(60)
    reading = clock.monotonic()
    await asyncio.sleep(0)
    assert not sleeper.done()
    await clock.advance(0)
    assert sleeper.done()
    assert clock.monotonic() == reading  # a deadline that has passed does not turn time back
