"""Stepping a coroutine outside of a task: what it does at once, and that nothing is lost of the rest."""

import asyncio

import pytest

from gateway.session.eager import step


async def test_work_without_a_wait_is_done_at_once():
    done = []

    async def work():
        done.append(1)

    assert step(work()) is None
    assert done == [1]


async def test_what_it_raises_at_once_comes_out():
    async def work():
        raise ValueError("at once")

    with pytest.raises(ValueError, match="at once"):
        step(work())


async def test_nested_coroutines_without_a_wait_are_done_at_once():
    async def inner():
        return 5

    got = []

    async def work():
        got.append(await inner())

    assert step(work()) is None
    assert got == [5]


async def test_the_rest_goes_on_over_many_waits():
    loop = asyncio.get_running_loop()
    futures = [loop.create_future() for _ in range(3)]
    got = []

    async def work():
        for future in futures:
            got.append(await future)
            await asyncio.sleep(0)

    rest = step(work())
    assert rest is not None
    task = asyncio.create_task(rest)
    for number, future in enumerate(futures):
        await asyncio.sleep(0)
        future.set_result(number)
    await task
    assert got == [0, 1, 2]


async def test_a_future_that_is_done_before_the_task_starts():
    future = asyncio.get_running_loop().create_future()

    async def work():
        assert await future == "there"

    rest = step(work())
    future.set_result("there")
    await rest


async def test_a_failure_of_what_it_waits_for_reaches_it():
    future = asyncio.get_running_loop().create_future()
    heard = []

    async def work():
        try:
            await future
        except ValueError as exc:
            heard.append(str(exc))
        await asyncio.sleep(0)
        raise KeyError("later")

    task = asyncio.create_task(step(work()))
    future.set_exception(ValueError("told"))
    with pytest.raises(KeyError, match="later"):
        await task
    assert heard == ["told"]


async def test_cancellation_reaches_it_and_it_may_clean_up():
    heard = []

    async def work():
        try:
            await asyncio.get_running_loop().create_future()
        except asyncio.CancelledError:
            await asyncio.sleep(0)
            heard.append("cleaned up")
            raise

    task = asyncio.create_task(step(work()))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert heard == ["cleaned up"]


async def test_cancellation_may_be_refused():
    async def work():
        try:
            await asyncio.get_running_loop().create_future()
        except asyncio.CancelledError:
            pass

    task = asyncio.create_task(step(work()))
    await asyncio.sleep(0)
    task.cancel()
    await task


async def test_the_future_it_waits_for_is_cancelled_with_it():
    future = asyncio.get_running_loop().create_future()

    async def work():
        await future

    task = asyncio.create_task(step(work()))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert future.cancelled()


async def test_timeouts_work_after_the_first_wait():
    async def work():
        await asyncio.sleep(0)
        async with asyncio.timeout(0):
            await asyncio.get_running_loop().create_future()

    with pytest.raises(TimeoutError):
        await step(work())


async def test_closing_the_rest_closes_the_work():
    heard = []

    async def work():
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            heard.append("closed")

    rest = step(work())
    rest.send(None)
    rest.close()
    assert heard == ["closed"]


async def test_it_belongs_to_its_task_after_the_first_wait():
    tasks = []

    async def work():
        await asyncio.sleep(0)
        tasks.append(asyncio.current_task())

    task = asyncio.create_task(step(work()))
    await task
    assert tasks == [task]
