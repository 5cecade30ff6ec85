"""A source of events keeps what its port says, whatever it is made of."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

from broker.errors import Unavailable
from broker.event_source import Again, Backlog, Dead, Done, EventSource
from config.clock import settle

Open = Callable[..., Awaitable[EventSource]]
GUARD_S = 30


async def settle_all(source: EventSource, end: Any = None) -> list[str]:
    """Settle whatever comes until nothing does; tells the ids in their order."""
    ids: list[str] = []
    while items := await source.fetch(10):
        ids += [item.id for item in items]
        await source.settle([(item, end or Done()) for item in items])
    return ids


async def test_what_was_written_comes_as_it_was_and_is_gone_when_it_is_done(case: Any, source: EventSource) -> None:
    id_ = await case.add("publish", {"channel": "news", "data": {"größe": 1.50}}, "k")
    (item,) = await source.fetch(10)
    assert (item.id, item.method, item.key, item.attempt, item.fault) == (id_, "publish", "k", 1, "")
    assert json.loads(item.payload) == {"channel": "news", "data": {"größe": 1.5}}
    assert item.token
    await source.settle([(item, Done())])
    assert await source.fetch(10) == []
    assert await case.rest() == []
    assert await case.dead() == []


async def test_what_was_there_before_the_first_consumer_comes_too(case: Any, open_source: Open) -> None:
    ids = [await case.add("publish", {}) for _ in range(3)]
    assert await settle_all(await open_source()) == ids


async def test_a_fetch_takes_at_most_so_many_in_their_order(case: Any, source: EventSource) -> None:
    ids = [await case.add("publish", {"number": number}) for number in range(7)]
    first = await source.fetch(3)
    assert [item.id for item in first] == ids[:3]
    await source.settle([(item, Done()) for item in first])
    assert [item.id for item in await source.fetch(10)] == ids[3:]


async def test_what_one_holds_another_does_not_get(case: Any, open_source: Open) -> None:
    here, there = await open_source(), await open_source()
    ids = {await case.add("publish", {}, f"k{number}") for number in range(20)}
    mine, theirs = await here.fetch(10), await there.fetch(20)
    assert not {item.id for item in mine} & {item.id for item in theirs}
    await here.settle([(item, Done()) for item in mine])
    await there.settle([(item, Done()) for item in theirs])
    rest = {*await settle_all(here), *await settle_all(there)}
    assert {item.id for item in mine} | {item.id for item in theirs} | rest == ids


async def test_two_empty_it_side_by_side_and_nothing_comes_twice(case: Any, open_source: Open) -> None:
    sources = [await open_source(), await open_source()]
    ids = [await case.add("publish", {}, f"k{number % 9}") for number in range(60)]
    parts = await asyncio.gather(*(settle_all(source) for source in sources))
    parts += [await settle_all(source) for source in sources]  # what one held while the other looked
    assert sorted(id_ for part in parts for id_ in part) == sorted(ids)
    assert await case.rest() == []


async def test_the_dead_are_put_aside_with_the_reason_and_stop_nobody(case: Any, source: EventSource) -> None:
    ids = [await case.add("publish", {"number": number}, "k") for number in range(3)]
    items = await source.fetch(10)
    await source.settle([(items[0], Done()), (items[1], Dead("bad request: no\0 channel")), (items[2], Done())])
    assert await case.rest() == []
    ((dead, method, reason),) = await case.dead()
    assert (dead, method) == (ids[1], "publish")
    assert reason.replace("\0", "") == "bad request: no channel"
    assert await source.fetch(10) == []


async def test_one_that_shall_be_tried_again_comes_when_its_time_has_come(case: Any, source: EventSource) -> None:
    id_ = await case.add("publish", {})
    (item,) = await source.fetch(10)
    await source.settle([(item, Again(8.0))])
    await case.pass_time(7.5)
    assert await source.fetch(10) == []
    await case.pass_time(1.5)
    (again,) = await source.fetch(10)
    assert (again.id, again.attempt, again.token) == (id_, 2, item.token)


async def test_a_try_that_does_not_count_is_not_counted(case: Any, source: EventSource) -> None:
    await case.add("publish", {})
    for _ in range(3):
        (item,) = await source.fetch(10)
        assert item.attempt == 1
        await source.settle([(item, Again(2.0, counts=False))])
        await case.pass_time(2.5)
    (item,) = await source.fetch(10)
    await source.settle([(item, Again(2.0))])
    await case.pass_time(2.5)
    assert [item.attempt for item in await source.fetch(10)] == [2]


async def test_what_is_not_named_comes_again_at_once_and_uncounted(case: Any, source: EventSource) -> None:
    ids = [await case.add("publish", {}) for _ in range(3)]
    first, *_ = await source.fetch(10)
    await source.settle([(first, Done())])
    await case.pass_time(1.0)
    assert [(item.id, item.attempt) for item in await source.fetch(10)] == [(id_, 1) for id_ in ids[1:]]


async def test_what_the_dead_held_goes_to_the_living(case: Any, open_source: Open) -> None:
    dying, living = await open_source(), await open_source()
    ids = [await case.add("publish", {}, "k") for _ in range(3)]
    held = await dying.fetch(10)
    assert len(held) == 3
    assert await living.fetch(10) == []
    await case.lose(dying)
    async with asyncio.timeout(GUARD_S):
        while not (items := await fetch_somehow(living)):
            await settle(5)  # connections see that they ended
    assert [item.id for item in items] == ids
    assert [item.token for item in items] == [item.token for item in held]
    assert {item.attempt for item in items} == {2 if case.counts_crashes else 1}


async def fetch_somehow(source: EventSource) -> Any:
    try:
        return await source.fetch(10)
    except Unavailable:  # `lose` ends the connections of all
        return []


async def test_one_that_ends_cleanly_leaves_everything_to_others_at_once(case: Any, open_source: Open) -> None:
    leaving, staying = await open_source(), await open_source()
    ids = [await case.add("publish", {}) for _ in range(3)]
    assert len(await leaving.fetch(10)) == 3
    await leaving.close()
    await leaving.close()
    assert [(item.id, item.attempt) for item in await staying.fetch(10)] == [(id_, 1) for id_ in ids]


async def test_something_new_ends_the_wait(case: Any, source: EventSource) -> None:
    await source.fetch(10)
    waiting = asyncio.ensure_future(source.wait(GUARD_S - 5))
    await asyncio.sleep(0)
    id_ = await case.add("publish", {})
    async with asyncio.timeout(GUARD_S):
        await waiting
    assert await settle_all(source) == [id_]


async def test_a_wait_that_is_broken_off_loses_nothing(case: Any, open_source: Open) -> None:
    source = await open_source()
    await source.fetch(10)
    for _ in range(5):
        waiting = asyncio.ensure_future(source.wait(GUARD_S))
        await asyncio.sleep(0)
        id_ = await case.add("publish", {})
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        await source.close()
        source = await open_source()
        assert await settle_all(source) == [id_]


async def test_the_backlog_tells_how_many_wait_and_since_when(case: Any, source: EventSource) -> None:
    assert await source.backlog() == Backlog(0)
    for _ in range(3):
        await case.add("publish", {})
    backlog = await source.backlog()
    assert backlog.items == 3
    assert backlog.oldest_at is not None
    await settle_all(source)
    assert await source.backlog() == Backlog(0)
