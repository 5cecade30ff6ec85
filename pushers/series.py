"""Counters and histograms for Prometheus in plain numbers: several are counted for each notification, and the client library's
own take four times as long, since many threads may count with them. With these one loop counts; any thread may read.

Labels are given as they are known, members of enumerations too, and become texts when somebody reads.
"""

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterator, Mapping, Sequence
from enum import IntEnum
from itertools import accumulate

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

__all__ = ["Counts", "Durations"]


class Counts(Collector):
    """Counters of one name: how often something came to pass, by labels."""

    def __init__(self, name: str, told: str, labels: Sequence[str], *, registry: CollectorRegistry) -> None:
        self._name, self._told, self._labels = name, told, labels
        self._counts: defaultdict[tuple[Hashable, ...], int] = defaultdict(int)
        registry.register(self)

    def count(self, *labels: Hashable) -> None:
        """Count one."""
        self._counts[labels] += 1

    def by(self, label: str) -> Mapping[str, int]:
        """Add up by one of the labels."""
        at, sums = self._labels.index(label), Counter[str]()
        for labels, count in list(self._counts.items()):
            sums[_text(labels[at])] += count
        return dict(sums)

    def collect(self) -> Iterator[CounterMetricFamily]:
        family = CounterMetricFamily(self._name, self._told, labels=self._labels)
        for labels, count in list(self._counts.items()):
            family.add_metric([*map(_text, labels)], count)
        yield family


class _Durations:
    """Those of one set of labels. The last bucket has what took longer than any bound."""

    __slots__ = ("buckets", "seconds")

    def __init__(self, bounds: int) -> None:
        self.buckets = [0] * (bounds + 1)
        self.seconds = 0.0


class Durations(Collector):
    """Histograms of one name: how long something took, by labels.

    Args:
        bounds_s: The upper ends of buckets, ascending.
    """

    def __init__(
        self, name: str, told: str, labels: Sequence[str], *, bounds_s: Sequence[float], registry: CollectorRegistry
    ) -> None:
        self._name, self._told, self._labels, self._bounds_s = name, told, labels, bounds_s
        self._names = (*(str(float(bound_s)) for bound_s in bounds_s), "+Inf")
        self._durations = defaultdict[tuple[Hashable, ...], _Durations](lambda: _Durations(len(bounds_s)))
        registry.register(self)

    def count(self, took_s: float, *labels: Hashable) -> None:
        """Count one."""
        durations = self._durations[labels]
        durations.buckets[bisect_left(self._bounds_s, took_s)] += 1
        durations.seconds += took_s

    def collect(self) -> Iterator[HistogramMetricFamily]:
        family = HistogramMetricFamily(self._name, self._told, labels=self._labels)
        for labels, durations in list(self._durations.items()):
            buckets = list(zip(self._names, map(float, accumulate(durations.buckets)), strict=True))
            family.add_metric([*map(_text, labels)], buckets, durations.seconds)
        yield family


def _text(label: Hashable) -> str:
    return label.name.lower() if isinstance(label, IntEnum) else str(label)
