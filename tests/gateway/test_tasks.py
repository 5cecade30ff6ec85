"""The registry of short-lived tasks: nothing vanishes from it, and no error either."""

import asyncio

import structlog

from gateway.tasks import Tasks


async def forever(started):
    started.set()
    await asyncio.get_running_loop().create_future()


async def test_work_without_a_wait_makes_no_task():
    tasks, done = Tasks(), []

    async def work():
        done.append(1)

    tasks.run(work(), "quick")
    assert done == [1]
    assert len(tasks) == 0


async def test_work_that_waits_is_held_until_it_is_done():
    tasks, gate, done = Tasks(), asyncio.Event(), []

    async def work():
        await gate.wait()
        done.append(1)

    tasks.run(work(), "slow")
    assert (len(tasks), done) == (1, [])
    gate.set()
    await tasks.drain(10)
    assert (len(tasks), done) == (0, [1])


async def test_errors_are_told_once_with_the_name_and_go_no_further():
    tasks = Tasks()

    async def at_once():
        raise ValueError

    async def later():
        await asyncio.sleep(0)
        raise KeyError

    with structlog.testing.capture_logs() as logs:
        tasks.run(at_once(), "one")
        tasks.run(later(), "two")
        await tasks.drain(10)
    assert [(entry["event"], entry["task"]) for entry in logs] == [("task.failed", "one"), ("task.failed", "two")]


async def test_the_drain_cancels_what_does_not_end():
    tasks, started = Tasks(), asyncio.Event()
    tasks.spawn(forever(started), "stuck")
    await started.wait()
    with structlog.testing.capture_logs() as logs:
        await tasks.drain(0)
    assert len(tasks) == 0
    assert logs == []


async def test_the_drain_of_nothing():
    await Tasks().drain(0)
