"""How an end begins, is hurried, and interrupts what waits."""

import asyncio

import pytest

from heliograph.ending import Ending
from heliograph.slot import restart_delay


async def test_a_signal_begins_it_and_a_second_one_hurries_it():
    ending, hurried = Ending(), []
    ending.on_hurry(lambda: hurried.append(True))
    ending.begin_or_hurry()
    assert (ending.begun.is_set(), ending.is_hurried, hurried) == (True, False, [])
    ending.begin_or_hurry()
    assert (ending.is_hurried, hurried) == (True, [True])


async def test_beginning_twice_is_no_hurry():
    ending = Ending()
    ending.begin()
    ending.begin()
    assert not ending.is_hurried


async def test_being_replaced_is_remembered():
    ending = Ending()
    ending.begin(is_replaced=True)
    ending.begin()
    assert ending.is_replaced


async def test_a_pause_ends_by_time_or_in_a_hurry():
    ending = Ending()
    await asyncio.wait_for(ending.pause(0.01), 30)
    pausing = asyncio.create_task(ending.pause(3600))
    await asyncio.sleep(0)
    ending.hurry()
    await asyncio.wait_for(pausing, 30)


async def test_work_that_is_done_before_gives_its_result():
    async def work():
        return 7

    assert await Ending().unless_begun(work()) == 7


async def test_work_that_fails_raises():
    async def work():
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        await Ending().unless_begun(work())


async def test_the_end_cancels_work():
    ending, cancelled = Ending(), asyncio.Event()

    async def work():
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise

    working = asyncio.create_task(ending.unless_begun(work()))
    await asyncio.sleep(0)
    ending.begin()
    assert await asyncio.wait_for(working, 30) is None
    assert cancelled.is_set()


def test_who_dies_again_and_again_comes_back_later_each_time():
    delays = [restart_delay(failures, 0.999999) for failures in range(1, 30)]
    assert delays[0] == pytest.approx(0.5, rel=1e-3)
    assert delays == sorted(delays)
    assert delays[-1] == pytest.approx(30, rel=1e-3)
    assert restart_delay(1, 0.0) == 0.25
