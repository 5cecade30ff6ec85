"""Workers that start, say what they should, and are missed when they are lost."""

import asyncio
import os
import signal
from collections.abc import Callable

import pytest

from loadtest.measure import Collection
from loadtest.messages import Finish, FromWorker, Open, Prepared, SubscriberPart
from loadtest.swarm import Crew, WorkerLost
from loadtest.target import Target


def make_part(port: int) -> SubscriberPart:
    return SubscriberPart(
        Target("127.0.0.1", port), "c", 0, 2, "a secret of tests, long enough for HS256", 2, 2, 0.0, 1, 1, 5.0
    )


async def test_a_worker_prepares_tells_what_failed_and_ends(free_port: Callable[[], int]) -> None:
    collection = Collection()
    async with Crew([make_part(free_port())], collection.take) as crew:
        assert await crew.until(lambda: collection.prepared == {0})
        await crew.send(Open(0))
        assert await crew.until(lambda: 0 in collection.opened)
        await crew.send(Finish())
        assert await crew.until(lambda: 0 in collection.subscribers)
    assert collection.opened[0].subscribed == 0
    assert list(collection.opened[0].failures.values()) == [2]
    assert next(iter(collection.opened[0].failures)) == "cannot connect: Connection refused"


async def test_a_killed_worker_is_missed(free_port: Callable[[], int]) -> None:
    collection = Collection()
    with pytest.raises(WorkerLost):
        async with Crew([make_part(free_port())], collection.take) as crew:
            await crew.until(lambda: collection.prepared == {0})
            os.kill(crew.pids[0], signal.SIGKILL)
            await crew.until(lambda: False)


async def test_a_stop_ends_the_waiting_but_not_the_workers(free_port: Callable[[], int]) -> None:
    said: list[FromWorker] = []
    stop = asyncio.Event()
    stop.set()
    async with Crew([make_part(free_port())], lambda _, message: said.append(message)) as crew:
        assert not await crew.until(lambda: bool(said), stop=stop)
        assert await crew.until(lambda: bool(said))
    assert said == [Prepared()]
