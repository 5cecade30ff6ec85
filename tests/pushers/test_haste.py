"""Haste: for how long others rest, what ends a rest, and that nothing stands still however many critical ones come."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.clock import ManualClock, settle
from pushers.haste import Haste, one_turn


@pytest.fixture
async def haste(clock: ManualClock) -> AsyncIterator[Haste]:
    haste = Haste(clock)
    running = asyncio.create_task(haste.run())
    yield haste
    running.cancel()
    await asyncio.wait({running})


async def test_it_is_on_for_a_second_after_each(haste: Haste, clock: ManualClock) -> None:
    assert not haste.is_on
    haste.begin()
    haste.end()
    clock.move(0.9)
    assert haste.is_on
    haste.begin()
    haste.end()
    clock.move(0.9)
    assert haste.is_on
    clock.move(0.1)
    assert not haste.is_on


async def test_others_rest_until_the_last_has_begun(haste: Haste) -> None:
    told: list[int] = []
    haste.begin()
    haste.begin()
    haste.after(lambda: told.append(1))
    turn = asyncio.create_task(haste.turn())
    haste.end()
    await settle()
    assert haste.rests
    assert not turn.done()
    assert not told
    haste.end()
    assert not haste.rests
    assert told == [1]
    await turn


async def test_without_a_rest_a_turn_is_one(haste: Haste) -> None:
    await haste.turn()
    await one_turn()
    haste.begin()
    await one_turn()  # whoever rests
    assert haste.rests


async def test_a_rest_ends_by_time_and_is_told_once(haste: Haste, clock: ManualClock) -> None:
    told: list[int] = []
    haste.begin()
    haste.after(lambda: told.append(1))
    turn = asyncio.create_task(haste.turn())
    await clock.advance(0.059)
    assert haste.rests
    assert not turn.done()
    await clock.advance(0.002)
    assert not haste.rests
    assert turn.done()
    haste.end()  # late
    assert told == [1]


async def test_whoever_gives_up_waiting_is_not_told(haste: Haste) -> None:
    haste.begin()
    turn = asyncio.create_task(haste.turn())
    await settle()
    turn.cancel()
    await settle()
    haste.end()
    assert turn.cancelled()


async def test_after_a_rest_others_have_time_of_their_own(haste: Haste, clock: ManualClock) -> None:
    haste.begin()
    await clock.advance(0.02)
    haste.end()
    clock.move(0.004)
    haste.begin()
    assert not haste.rests
    haste.end()
    clock.move(0.002)
    haste.begin()
    assert haste.rests


async def test_one_that_brought_no_rest_ends_nobodys(haste: Haste, clock: ManualClock) -> None:
    haste.begin()
    await clock.advance(0.061)  # over by time
    haste.begin()  # too soon
    assert not haste.rests
    haste.end()
    haste.end()
    haste.end()
    clock.move(0.1)
    haste.begin()
    assert haste.rests


async def test_the_end_of_its_run_ends_a_rest(clock: ManualClock) -> None:
    haste = Haste(clock)
    running = asyncio.create_task(haste.run())
    await settle()
    haste.begin()
    turn = asyncio.create_task(haste.turn())
    await settle()
    running.cancel()
    await asyncio.wait({running})
    await turn
    assert not haste.rests


async def test_an_error_of_one_who_waits_keeps_nobody_waiting(haste: Haste, clock: ManualClock) -> None:
    told: list[int] = []

    def breaks() -> None:
        raise ZeroDivisionError

    for end in (haste.end, lambda: None):
        haste.begin()
        haste.after(breaks)
        haste.after(lambda: told.append(1))
        end()
        await clock.advance(0.1)
    assert told == [1, 1]


@given(steps=st.lists(st.tuples(st.integers(0, 20), st.booleans()), max_size=200))
def test_however_many_come_others_have_a_fifth_of_the_time(steps: list[tuple[int, bool]]) -> None:
    async def run() -> None:
        clock = ManualClock()
        haste = Haste(clock)
        running = asyncio.create_task(haste.run())
        await settle(2)
        rested, began, in_a_row = 0, clock.monotonic(), 0
        for wait_ms, is_begin in steps:
            (haste.begin if is_begin else haste.end)()
            for _ in range(wait_ms):
                await clock.advance(0.001)
                rested += haste.rests
                in_a_row = in_a_row + 1 if haste.rests else 0
                assert in_a_row <= 60
        assert rested <= 4 / 5 * (clock.monotonic() - began) * 1000 + 61
        running.cancel()
        await asyncio.wait({running})

    asyncio.run(run())
