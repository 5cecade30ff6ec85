"""Ticks of many processes become seconds, percentiles and spread."""

from loadtest.histogram import Histogram
from loadtest.measure import Collection, count_between, latency_between, make_latency, make_seconds, make_spread
from loadtest.messages import Fault, Prepared, Tick


def make_tick(slot: int, count: int = 0, *, latency_ns: int | None = None, connected: int = 0) -> Tick:
    histogram = Histogram()
    if latency_ns is not None:
        histogram.record(latency_ns)
    return Tick("measure", slot, {"deliveries": count}, histogram.counts(), connected, 0.0)


def test_slots_of_all_workers_add_up_to_seconds() -> None:
    ticks = [(worker, make_tick(slot, 10, connected=5)) for worker in (0, 1) for slot in range(8)]
    seconds = make_seconds(ticks, measured=range(1, 2))
    assert [(second.at_s, second.counts["deliveries"], second.connected, second.is_measured) for second in seconds] == [
        (0, 80, 10, False),
        (1, 80, 10, True),
    ]
    assert count_between(seconds, "deliveries") == 80


def test_a_silent_second_keeps_its_place_and_the_level() -> None:
    seconds = make_seconds([(0, make_tick(0, 1, connected=7)), (0, make_tick(9, 1, connected=6))], measured=range(3))
    assert [(second.counts.get("deliveries", 0), second.connected) for second in seconds] == [(1, 7), (0, 7), (1, 6)]


def test_latencies_of_seconds_that_do_not_count_are_left_out() -> None:
    ticks = [
        (0, make_tick(0, latency_ns=9_000_000)),
        (0, make_tick(4, latency_ns=1_000_000)),
        (0, make_tick(8, latency_ns=5_000_000)),
    ]
    assert latency_between(ticks, range(1, 2)).largest_ns == 1_000_000


def test_a_distribution_names_its_percentiles_in_milliseconds() -> None:
    parts = [make_tick(0, latency_ns=value * 1_000_000).latency for value in (1, 2, 3, 4)]
    latency = make_latency("l", "meaning", parts)
    assert latency.count == 4
    assert latency.at(100.0) == 4.0
    assert latency.at(12.34) is None


def test_spread_is_over_the_seconds_that_count() -> None:
    ticks = [(0, make_tick(slot, count)) for slot, count in ((0, 1), (4, 10), (8, 20), (12, 30))]
    spread = make_spread(make_seconds(ticks, measured=range(1, 4)), "deliveries")
    assert spread is not None
    assert (spread.seconds, spread.lowest, spread.median, spread.highest) == (3, 10, 20, 30)
    assert make_spread([], "deliveries") is None


def test_a_collection_files_by_worker_and_phase() -> None:
    collection = Collection()
    collection.take(0, Prepared())
    collection.take(0, make_tick(0, 3, connected=2))
    collection.take(1, make_tick(0, 4, connected=5))
    collection.take(1, Fault("said elsewhere"))
    assert collection.prepared == {0}
    assert collection.totals["measure.deliveries"] == 7
    assert collection.connected == {0: 2, 1: 5}
    assert [worker for worker, _ in collection.of_phase("measure")] == [0, 1]
