"""A consumer makes every call at least once, in the order of each key, whatever fails around it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from broker.event_source import Again, Dead, Done
from config.clock import settle
from gateway.consumers.consumer import Consumer


@asynccontextmanager
async def running(consumer: Consumer) -> AsyncIterator[None]:
    """Have it run meanwhile, and end it cleanly."""
    task = asyncio.ensure_future(consumer.run())
    await settle()
    try:
        yield
    finally:
        consumer.stop()
        await task


async def test_what_is_there_and_what_comes_is_carried_out(make_consumer, source, api) -> None:
    source.add("a")
    async with running(make_consumer()):
        assert api.published == ["a"]
        source.add("b")
        await settle()
    assert api.published == ["a", "b"]
    assert source.items == []
    assert source.closed == 1


async def test_it_looks_once_a_second_where_nobody_wakes_it(make_consumer, source, api, clock) -> None:
    async with running(make_consumer()):
        source.add("a", rings=False)
        await settle()
        assert api.published == []
        await clock.advance(1.0)
        assert api.published == ["a"]


async def test_the_dead_stop_nobody(make_consumer, source, api, errors) -> None:
    source.add("a", "fly", key="k")
    source.add("b", key="k")
    source.add("c", payload=b"no json", key="k")
    source.add("d", key="k")
    source.add("e", "broadcast", {"channels": ["x", "unknown:y"], "data": {}})
    with capture_logs() as logs:
        async with running(make_consumer()):
            pass
    assert api.published == ["b", "d", "x"]
    assert source.ends(Dead) == ["a", "c", "e"]
    told = [entry for entry in logs if entry["event"] == "consumer.dead"]
    assert [(entry["item"], entry["method"]) for entry in told] == [("a", "fly"), ("c", "publish"), ("e", "broadcast")]


async def test_a_retry_lets_no_later_one_of_its_key_pass_and_no_other_wait(make_consumer, source, api, errors, clock) -> None:
    api.fail("a1", errors["bug"](), errors["engine"]())
    for id_, key in (("a1", "a"), ("b1", "b"), ("a2", "a"), ("b2", "b"), ("a3", "a")):
        source.add(id_, key=key)
    with capture_logs():
        async with running(make_consumer()):
            assert api.published == ["b1", "b2"]
            source.add("a4", key="a")
            for _ in range(40):
                await clock.advance(0.5)
    assert api.published == ["b1", "b2", "a1", "a2", "a3", "a4"]
    assert api.entered.count("a1") == 3


async def test_one_that_keeps_failing_is_given_up_and_the_next_of_its_key_goes_on(make_consumer, source, api, clock) -> None:
    api.fail("a1", *(ZeroDivisionError() for _ in range(9)))
    source.add("a1", key="a")
    source.add("a2", key="a")
    with capture_logs():
        async with running(make_consumer()):
            for _ in range(120):
                await clock.advance(0.5)
    assert api.entered.count("a1") == 4
    assert source.ends(Dead) == ["a1"]
    assert api.published == ["a2"]


async def test_while_everything_is_away_nothing_is_given_up_and_it_waits_with_patience(
    make_consumer, source, api, clock, errors
) -> None:
    api.fail("a", *(errors["engine"]() for _ in range(30)))
    source.add("a")
    with capture_logs() as logs:
        async with running(make_consumer()):
            for _ in range(400):
                await clock.advance(0.5)
    assert api.published == ["a"]
    assert api.entered.count("a") == 31
    assert source.ends(Dead) == []
    assert [entry["event"] for entry in logs if entry["event"].startswith("outage")] == ["outage.began", "outage.ended"]


async def test_one_item_that_fails_keeps_no_other_key_waiting(make_consumer, source, api, clock) -> None:
    api.fail("a", *(ZeroDivisionError() for _ in range(3)))
    source.add("a", key="a")
    with capture_logs():
        async with running(make_consumer()):
            for number in range(3):
                source.add(f"b{number}", key="b")
                await settle()
                assert f"b{number}" in api.published
                await clock.advance(4.0)
    assert source.ends(Dead) == []


async def test_a_source_that_is_away_is_waited_for(make_consumer, source, api, clock) -> None:  # L-12
    source.is_away = True
    source.add("a")
    with capture_logs() as logs:
        consumer = make_consumer()
        async with running(consumer):
            await clock.advance(30.0)
            assert (consumer.last.failing_since is not None, bool(consumer.last.error)) == (True, True)
            source.is_away = False
            await clock.advance(10.0)
            assert api.published == ["a"]
            assert consumer.last.failing_since is None
    assert [entry["event"] for entry in logs] == ["outage.began", "outage.ended"]


async def test_what_could_not_be_settled_is_done_again_with_the_same_key(make_consumer, source, api, clock) -> None:
    api.gate.clear()
    source.add("a")
    with capture_logs():
        async with running(make_consumer()):
            source.is_away = True
            api.gate.set()
            await settle()
            source.is_away = False
            await clock.advance(10.0)
    assert api.published == ["a", "a"]
    assert api.keys == ["events:ta"] * 2
    assert source.ends(Done) == ["a"]


async def test_stopping_settles_what_is_under_way_and_begins_nothing_more(make_consumer, source, api) -> None:
    api.gate.clear()
    for number in range(5):
        source.add(f"a{number}", key="a")
    consumer = make_consumer()
    task = asyncio.ensure_future(consumer.run())
    await settle()
    consumer.stop()
    consumer.stop()
    await settle()
    assert not task.done()
    api.gate.set()
    await task
    assert api.published == ["a0"]
    assert source.ends(Done) == ["a0"]
    assert [item.id for item, _ in source.items] == ["a1", "a2", "a3", "a4"]
    assert source.closed == 1


async def test_one_that_was_stopped_before_its_start_does_nothing(make_consumer, source, api) -> None:
    source.add("a")
    consumer = make_consumer()
    consumer.stop()
    await consumer.run()
    assert (api.published, source.closed) == ([], 1)


async def test_a_batch_that_takes_too_long_gives_the_rest_back(make_consumer, source, api, clock) -> None:
    for number in range(3):
        source.add(f"a{number}", key="a")
    api.gate.clear()
    async with running(make_consumer()):
        clock.move(10.0)
        api.gate.set()
        await settle()
        assert api.published == ["a0", "a1", "a2"]
    assert source.ends(Done) == ["a0", "a1", "a2"]
    assert source.ends(Again) == []


async def test_it_takes_no_more_than_its_batch(make_consumer, source, api) -> None:
    for number in range(5):
        source.add(f"k{number}", key=f"k{number}")
    api.gate.clear()
    async with running(make_consumer(batch=2)):
        assert api.entered == ["k0", "k1"]
        api.gate.set()
        await settle(60)
    assert sorted(api.published) == [f"k{number}" for number in range(5)]


async def test_it_counts_how_items_end_and_tells_the_backlog(
    make_consumer, source, api, clock, registry: CollectorRegistry, errors
) -> None:
    api.fail("b", errors["bug"]())
    for id_, method in (("a", "publish"), ("b", "publish"), ("c", "fly")):
        source.add(id_, method, key=id_)
    with capture_logs():
        async with running(make_consumer()):
            assert registry.get_sample_value("heliograph_consumer_backlog", {"consumer": "events"}) == 1
            await clock.advance(10.0)

    def count(outcome: str) -> float | None:
        return registry.get_sample_value("heliograph_consumer_items_total", {"consumer": "events", "outcome": outcome})

    assert (count("done"), count("retried"), count("dead")) == (2, 1, 1)
    assert registry.get_sample_value("heliograph_consumer_backlog", {"consumer": "events"}) == 0
    assert registry.get_sample_value("heliograph_consumer_lag_seconds", {"consumer": "events"}) == 0


@pytest.mark.parametrize("fault", ["fetch", "settle"])
async def test_a_bug_in_a_source_ends_nobody(make_consumer, source, api, clock, fault: str) -> None:
    class Broken:
        def __init__(self) -> None:
            self.left = 2

        def __getattr__(self, name: str) -> Callable[..., object]:
            if name == fault and self.left:
                self.left -= 1
                raise ZeroDivisionError
            return getattr(source, name)

    source.add("a")
    consumer = make_consumer()
    consumer._source = Broken()
    with capture_logs() as logs:
        async with running(consumer):
            await clock.advance(10.0)
    assert set(api.published) == {"a"}
    assert source.items == []
    assert [entry["event"] for entry in logs if entry["log_level"] == "error"] == ["consumer.broke"] * 2


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 3)), min_size=1, max_size=25))
def test_every_item_is_carried_out_once_in_the_order_of_its_key(make_parts, steps) -> None:
    """Each step is a key, and how many times its item fails before it succeeds."""
    ids = [f"{key}{number}" for number, (key, _) in enumerate(steps)]

    async def scenario() -> list[str]:
        source, api, consumer, clock = make_parts()
        for id_, (key, failures) in zip(ids, steps, strict=True):
            api.fail(id_, *(ZeroDivisionError() for _ in range(failures)))
            source.add(id_, key=key)
        async with running(consumer):
            for _ in range(2000):
                if not source.items:
                    break
                await clock.advance(0.5)
        return api.published

    with capture_logs():
        published = asyncio.run(scenario())
    for key in "abc":
        assert [id_ for id_ in published if id_[0] == key] == [id_ for id_ in ids if id_[0] == key]
