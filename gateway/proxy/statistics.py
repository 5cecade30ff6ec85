"""What became of the questions to a backend: counted in plain numbers, for whoever reads metrics."""

from enum import StrEnum

from gateway.timings import Timings

__all__ = ["CallOutcome", "CallStatistics"]


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
        timings: How long they took, without those that were skipped.
    """

    __slots__ = ("calls_by_outcome", "timings")

    def __init__(self) -> None:
        self.calls_by_outcome = dict.fromkeys(CallOutcome, 0)
        self.timings = Timings()

    def count(self, outcome: CallOutcome, took_s: float) -> None:
        """Count one."""
        self.calls_by_outcome[outcome] += 1
        if outcome is not CallOutcome.SKIPPED:
            self.timings.count(took_s)
