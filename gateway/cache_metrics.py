"""What the caches of a process tell Prometheus, read from their own counters when asked."""

from collections.abc import Iterable
from itertools import accumulate

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from broker.caching.caches import Caches
from broker.caching.statistics import AGES_S, Ages

__all__ = ["CacheCollector"]


class CacheCollector(Collector):
    """Reads the caches. Their names, levels and results are words of the code."""

    def __init__(self, caches: Caches) -> None:
        self._caches = caches

    def collect(self) -> Iterable[Metric]:
        looks = CounterMetricFamily("heliograph_cache_looks", "Looks into caches", labels=["cache", "level", "result"])
        entries = GaugeMetricFamily("heliograph_cache_entries", "Values that are remembered", labels=["cache"])
        evicted = CounterMetricFamily("heliograph_cache_evictions", "Values that went for want of room", labels=["cache"])
        forgotten = CounterMetricFamily("heliograph_cache_forgotten", "Values that went for a change", labels=["cache"])
        ages = HistogramMetricFamily("heliograph_cache_age_seconds", "How old what was given out was", labels=["cache"])
        for one in self._caches.statistics():
            for (level, result), count in sorted(one.looks.items()):
                looks.add_metric([one.name, level, result], count)
            entries.add_metric([one.name], one.entries)
            evicted.add_metric([one.name], one.evictions)
            forgotten.add_metric([one.name], one.forgotten)
            ages.add_metric([one.name], _buckets(one.ages), one.ages.sum_s)
        return [looks, entries, evicted, forgotten, ages]


def _buckets(ages: Ages) -> list[tuple[str, float]]:
    """Write the counts as Prometheus has them: each bucket with all that is younger."""
    bounds = [*(str(bound_s) for bound_s in AGES_S), "+Inf"]
    return [(bound, float(count)) for bound, count in zip(bounds, accumulate(ages.counts), strict=True)]
