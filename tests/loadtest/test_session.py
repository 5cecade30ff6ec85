"""Sharing a swarm out, and adding up what the server used."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtest.histogram import Histogram
from loadtest.measure import Collection
from loadtest.messages import SubscriberPart, Tick
from loadtest.result import Failure, ServerSample
from loadtest.session import alongside, busy_warnings, cpu_seconds, failures_of, share_out
from loadtest.target import Target


def make_part(count: int) -> SubscriberPart:
    return SubscriberPart(Target("h", 1), "c", 0, count, "", 1, 200, 100.0, 1, 1, 30.0)


@given(st.integers(0, 1000), st.integers(1, 16))
def test_shares_cover_every_client_once_and_evenly(count: int, processes: int) -> None:
    shares = share_out(make_part(count), processes)
    assert [number for share in shares for number in range(share.first, share.first + share.count)] == list(range(count))
    assert not shares or max(share.count for share in shares) - min(share.count for share in shares) <= 1


def test_nodes_share_a_swarm_even_if_fewer_processes_were_asked_for() -> None:
    one, two = Target("one", 1), Target("two", 2)
    shares = share_out(make_part(101), 1, (one, two))
    assert [(share.target, share.first, share.count) for share in shares] == [(one, 0, 51), (two, 51, 50)]
    shares = share_out(make_part(8), 4, (one, two))
    assert [(share.target, share.count) for share in shares] == [(one, 2), (two, 2)] * 2


def test_only_the_asked_stretch_of_samples_counts() -> None:
    samples = [ServerSample(0.5, 10.0, 1.0), ServerSample(1.0, 100.0, 1.0), ServerSample(2.0, 50.0, 1.0)]
    assert cpu_seconds(samples, 0.0, 2.0) == pytest.approx(0.05 + 0.5 + 0.5)
    assert cpu_seconds(samples, 1.5, 9.0) == pytest.approx(0.25)
    assert cpu_seconds([], 0.0, 1.0) == 0.0


def test_failures_of_many_workers_are_added_up_by_text() -> None:
    assert failures_of([("why", [{"a": 1, "b": 5}, {"a": 2}]), ("other", [{}])]) == [
        Failure("b", 5, "why"),
        Failure("a", 3, "why"),
    ]


async def test_what_runs_alongside_ends_with_the_block() -> None:
    began = asyncio.Event()
    ended = asyncio.Event()

    async def work() -> None:
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    async with alongside(work(), "work"):
        await began.wait()
    assert ended.is_set()


async def test_a_failure_alongside_fails_the_block() -> None:
    async def work() -> None:
        raise LookupError("broken")

    with pytest.raises(LookupError, match="broken"):
        async with alongside(work(), "work"):
            await asyncio.sleep(0)


def test_workers_at_their_limit_are_told_of() -> None:
    collection = Collection()
    counts = Histogram().counts()
    for slot in range(8):
        collection.take(0, Tick("measure", slot, {}, counts, 0, 0.25, lag_s=0.3 if slot == 5 else 0.0))
        collection.take(1, Tick("measure", slot, {}, counts, 0, 0.05))
    used, lag = busy_warnings(collection, "measure", range(1, 2))
    assert "100% of a core" in used
    assert "300 ms behind" in lag
    assert busy_warnings(collection, "measure", range(0)) == []
    assert busy_warnings(collection, "open", range(9)) == []
