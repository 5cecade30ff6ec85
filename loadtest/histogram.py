"""Latencies as counts in log-scaled buckets: bounded memory, mergeable over processes and seconds, under 1 % off.

The layout is that of HdrHistogram: every power of two is cut into 128 equal buckets, so a bucket is never wider than
1/128 of its values, and values below 256 are exact. Values are whole nanoseconds ≥ 0.
"""

import math
from collections.abc import Iterable

import msgspec

__all__ = ["Histogram", "HistogramCounts", "bucket_bounds", "bucket_of"]

_BITS = 7


class HistogramCounts(msgspec.Struct, frozen=True):
    """A histogram as it travels: bucket numbers with their counts, and the exact ends."""

    counts: dict[int, int]
    smallest_ns: int | None
    largest_ns: int | None


class Histogram:
    """Counts of recorded values; two merged ones equal one that recorded both."""

    __slots__ = ("_counts", "_largest", "_smallest", "_total")

    def __init__(self) -> None:
        self._counts: dict[int, int] = {}
        self._total = 0
        self._smallest: int | None = None
        self._largest: int | None = None

    def record(self, value_ns: int) -> None:
        """Count one value; a negative one (a wall clock was set back meanwhile) counts as 0."""
        value = max(value_ns, 0)
        bucket = bucket_of(value)
        self._counts[bucket] = self._counts.get(bucket, 0) + 1
        self._total += 1
        if self._largest is None or value > self._largest:
            self._largest = value
        if self._smallest is None or value < self._smallest:
            self._smallest = value

    def merge(self, other: HistogramCounts) -> None:
        """Add what another process or second recorded."""
        for bucket, count in other.counts.items():
            self._counts[bucket] = self._counts.get(bucket, 0) + count
            self._total += count
        if other.largest_ns is not None and (self._largest is None or other.largest_ns > self._largest):
            self._largest = other.largest_ns
        if other.smallest_ns is not None and (self._smallest is None or other.smallest_ns < self._smallest):
            self._smallest = other.smallest_ns

    def counts(self) -> HistogramCounts:
        """Take a copy that can be sent or kept."""
        return HistogramCounts(dict(self._counts), self._smallest, self._largest)

    @property
    def total(self) -> int:
        """How many values were recorded."""
        return self._total

    @property
    def largest_ns(self) -> int | None:
        """The exact largest value; None when empty."""
        return self._largest

    def percentile(self, percent: float) -> int | None:
        """Tell the value in ns that `percent` of all values do not exceed (nearest rank); None when empty."""
        return next(iter(self.percentiles([percent])))

    def percentiles(self, percents: Iterable[float]) -> list[int | None]:
        """Tell several percentiles in one pass; `percents` must rise."""
        # Rounded before the ceiling: 99.9 % of 1,000 values is the 999th, whatever binary fractions make of it.
        wanted = [max(1, math.ceil(round(self._total * percent / 100, 6))) for percent in percents]
        found: list[int | None] = []
        passed = 0
        for bucket in sorted(self._counts):
            passed += self._counts[bucket]
            while len(found) < len(wanted) and passed >= wanted[len(found)]:
                found.append(min(bucket_bounds(bucket)[1], self._largest or 0))
        return found + [self._largest] * (len(wanted) - len(found))


def bucket_of(value: int) -> int:
    """Number the bucket of a value ≥ 0; numbers rise with values and leave no hole."""
    shift = max(0, value.bit_length() - _BITS - 1)
    return (shift << _BITS) + (value >> shift)


def bucket_bounds(bucket: int) -> tuple[int, int]:
    """Tell the smallest and the largest value of a bucket."""
    shift = max(0, (bucket >> _BITS) - 1)
    low = (bucket - (shift << _BITS)) << shift
    return low, low + (1 << shift) - 1
