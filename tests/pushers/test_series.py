"""Plain series read like those of the client library that they stand in for."""

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest

from broker.notification import Lane, Outcome, Provider
from pushers.series import Counts, Durations

BOUNDS_S = (0.005, 1, 86400)


def without_created(registry: CollectorRegistry) -> list[str]:
    return [line for line in generate_latest(registry).decode().splitlines() if "_created" not in line]


def test_counts_read_like_a_counter() -> None:
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    counts = Counts("calls", "Calls.", ("provider", "outcome", "lane"), registry=ours)
    counter = Counter("calls", "Calls.", ("provider", "outcome", "lane"), registry=theirs)
    for provider, lane in ((Provider.FCM, Lane.HIGH), (Provider.FCM, Lane.HIGH), ("live", Lane.BULK)):
        counts.count(provider, Outcome.ACCEPTED, lane)
        counter.labels(provider, Outcome.ACCEPTED, lane.name.lower()).inc()
    assert without_created(ours) == without_created(theirs)
    assert counts.by("provider") == {"fcm": 2, "live": 1}
    assert counts.by("lane") == {"high": 2, "bulk": 1}


def test_durations_read_like_a_histogram() -> None:
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    durations = Durations("took_seconds", "It took.", ("provider", "lane"), bounds_s=BOUNDS_S, registry=ours)
    histogram = Histogram("took_seconds", "It took.", ("provider", "lane"), buckets=BOUNDS_S, registry=theirs)
    for took_s in (0.0, 0.005, 0.0051, 1.0, 5.5, 86401.0):
        durations.count(took_s, Provider.APNS, Lane.CRITICAL)
        histogram.labels("apns", "critical").observe(took_s)
    durations.count(2.0, "email", Lane.BULK)
    histogram.labels("email", "bulk").observe(2.0)
    assert without_created(ours) == without_created(theirs)
