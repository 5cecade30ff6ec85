"""How long things took, counted into buckets in plain numbers: cheaper than a client library's histogram, and read like one."""

from bisect import bisect_left
from itertools import accumulate
from typing import Final

__all__ = ["BOUNDS_S", "Timings"]

# Upper ends in seconds; what took longer than the last one stands in a bucket of its own.
BOUNDS_S: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_NAMES: Final = (*map(str, BOUNDS_S), "+Inf")


class Timings:
    """Durations by `BOUNDS_S`, and their sum in seconds."""

    __slots__ = ("buckets", "seconds")

    def __init__(self) -> None:
        self.buckets = [0] * (len(BOUNDS_S) + 1)
        self.seconds = 0.0

    def count(self, took_s: float) -> None:
        """Count one."""
        self.buckets[bisect_left(BOUNDS_S, took_s)] += 1
        self.seconds += took_s

    def cumulated(self) -> list[tuple[str, float]]:
        """Give the buckets as Prometheus wants them: each with all that took less."""
        return [(name, float(count)) for name, count in zip(_NAMES, accumulate(self.buckets), strict=True)]
