"""Merging: from the ticks of many processes to seconds, percentiles and spread. Pure, but for the order of arrival."""

import statistics
from collections import Counter
from collections.abc import Iterable

from loadtest.histogram import Histogram, HistogramCounts
from loadtest.messages import (
    TICK_S,
    Accepted,
    FromWorker,
    NotifierFinal,
    Opened,
    Prepared,
    PublisherFinal,
    SubscribersFinal,
    Tick,
)
from loadtest.result import Latency, Percentile, Second, Spread

__all__ = ["PERCENTS", "Collection", "count_between", "latency_between", "make_latency", "make_seconds", "make_spread"]

PERCENTS = (0.0, 10.0, 25.0, 50.0, 75.0, 90.0, 95.0, 99.0, 99.5, 99.9, 99.95, 99.99, 99.999, 100.0)
_TICKS_PER_SECOND = round(1 / TICK_S)


class Collection:
    """Everything that the workers of a run have said so far."""

    def __init__(self) -> None:
        self.prepared: set[int] = set()
        self.ticks: dict[str, list[tuple[int, Tick]]] = {}
        self.opened: dict[int, Opened] = {}
        self.subscribers: dict[int, SubscribersFinal] = {}
        self.publishers: dict[int, PublisherFinal] = {}
        self.notifiers: dict[int, NotifierFinal] = {}
        self.accepted: list[Accepted] = []
        self.totals: Counter[str] = Counter()
        self.connected: dict[int, int] = {}

    def take(self, worker: int, message: FromWorker) -> None:
        """File one message; counts of both phases add up in `totals` under `<phase>.<name>`."""
        match message:
            case Prepared():
                self.prepared.add(worker)
            case Tick():
                self.ticks.setdefault(message.phase, []).append((worker, message))
                self.totals.update({f"{message.phase}.{name}": count for name, count in message.counts.items()})
                self.connected[worker] = message.connected
            case Opened():
                self.opened[worker] = message
            case Accepted():
                self.accepted.append(message)
            case SubscribersFinal():
                self.subscribers[worker] = message
            case PublisherFinal():
                self.publishers[worker] = message
            case NotifierFinal():
                self.notifiers[worker] = message

    def of_phase(self, phase: str) -> list[tuple[int, Tick]]:
        """The ticks of one phase, as they came."""
        return self.ticks.get(phase, [])


def make_seconds(ticks: Iterable[tuple[int, Tick]], *, measured: range) -> list[Second]:
    """Add ticks of all workers up to seconds; the last one may be a part of a second.

    Args:
        measured: The seconds that count; those before warmed up, those after drained.
    """
    by_second: dict[int, list[tuple[int, Tick]]] = {}
    for worker, tick in ticks:
        by_second.setdefault(tick.slot // _TICKS_PER_SECOND, []).append((worker, tick))
    levels: dict[int, int] = {}
    seconds: list[Second] = []
    for at_s in range(max(by_second, default=-1) + 1):
        counts: Counter[str] = Counter()
        latency = Histogram()
        for worker, tick in sorted(by_second.get(at_s, []), key=lambda entry: entry[1].slot):
            counts.update(tick.counts)
            latency.merge(tick.latency)
            levels[worker] = tick.connected
        p50, p99 = latency.percentiles([50.0, 99.0])
        seconds.append(Second(at_s, dict(counts), _ms(p50), _ms(p99), sum(levels.values()), at_s in measured))
    return seconds


def latency_between(ticks: Iterable[tuple[int, Tick]], measured: range) -> Histogram:
    """Merge the latencies of the measured seconds."""
    merged = Histogram()
    for _, tick in ticks:
        if tick.slot // _TICKS_PER_SECOND in measured:
            merged.merge(tick.latency)
    return merged


def count_between(seconds: Iterable[Second], name: str) -> int:
    """Add up one count over the measured seconds."""
    return sum(second.counts.get(name, 0) for second in seconds if second.is_measured)


def make_latency(name: str, meaning: str, parts: Histogram | Iterable[HistogramCounts]) -> Latency:
    """Describe a distribution by its percentiles."""
    histogram = parts if isinstance(parts, Histogram) else _merged(parts)
    values = histogram.percentiles(PERCENTS)
    found = [Percentile(percent, value / 1e6) for percent, value in zip(PERCENTS, values, strict=True) if value is not None]
    return Latency(name, meaning, histogram.total, found)


def make_spread(seconds: Iterable[Second], name: str) -> Spread | None:
    """Tell how even a rate was, over whole measured seconds; None when there is none."""
    rates = [float(second.counts.get(name, 0)) for second in seconds if second.is_measured]
    if not rates:
        return None
    return Spread(name, len(rates), min(rates), statistics.median(rates), max(rates), statistics.pstdev(rates))


def _merged(parts: Iterable[HistogramCounts]) -> Histogram:
    merged = Histogram()
    for part in parts:
        merged.merge(part)
    return merged


def _ms(value_ns: int | None) -> float | None:
    return None if value_ns is None else value_ns / 1e6
