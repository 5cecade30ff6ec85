"""What became of the questions to a backend: counted in plain numbers, for whoever reads metrics."""

from bisect import bisect_left
from enum import StrEnum
from typing import Final

__all__ = ["BUCKETS_S", "CallOutcome", "CallStatistics"]

# Upper ends; what took longer than the last one stands in a bucket of its own.
BUCKETS_S: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class CallOutcome(StrEnum):
    """How a question ended."""

    RESULT = "result"
    ERROR = "error"
    DISCONNECT = "disconnect"
    FAILED = "failed"
    SKIPPED = "skipped"


class CallStatistics:
    """Counts the questions of one event to one backend.

    Attributes:
        calls_by_outcome: A result (also an empty one); an error or a disconnect, as the backend answered or as its HTTP status
            means; failed where there was no usable answer; skipped where it was not asked because it had failed too often.
        calls_by_bucket: How many took how long, by `BUCKETS_S`, without those that were skipped.
        seconds: How long they took together.
    """

    __slots__ = ("calls_by_bucket", "calls_by_outcome", "seconds")

    def __init__(self) -> None:
        self.calls_by_outcome = dict.fromkeys(CallOutcome, 0)
        self.calls_by_bucket = [0] * (len(BUCKETS_S) + 1)
        self.seconds = 0.0

    def count(self, outcome: CallOutcome, took_s: float) -> None:
        """Count one."""
        self.calls_by_outcome[outcome] += 1
        if outcome is not CallOutcome.SKIPPED:
            self.calls_by_bucket[bisect_left(BUCKETS_S, took_s)] += 1
            self.seconds += took_s
