"""Work that outlives its caller, and waits that end."""

import asyncio

import pytest

from pushers.completion import to_completion, within


async def test_the_result_comes_back():
    async def work():
        await asyncio.sleep(0)
        return 7

    assert await to_completion(work()) == 7


async def test_an_error_comes_back():
    async def work():
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        await to_completion(work())


async def test_a_cancelled_caller_waits_for_the_end():
    may_end, written = asyncio.Event(), []

    async def work():
        await may_end.wait()
        written.append(True)

    caller = asyncio.create_task(to_completion(work()))
    await asyncio.sleep(0)
    caller.cancel()
    await asyncio.sleep(0)
    assert not caller.done()
    may_end.set()
    with pytest.raises(asyncio.CancelledError):
        await caller
    assert written == [True]


async def test_within_tells_whether_it_ended(clock):
    assert await within(asyncio.ensure_future(asyncio.sleep(0)), 5.0, clock)
    endless = asyncio.ensure_future(asyncio.Event().wait())
    waiting = asyncio.ensure_future(within(endless, 5.0, clock))
    await clock.advance(4.9)
    assert not waiting.done()
    await clock.advance(0.2)
    assert await waiting is False
    assert endless.cancelled()
