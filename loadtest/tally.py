"""What one process counts in the current slot of time."""

from loadtest.histogram import Histogram, HistogramCounts

__all__ = ["Tally"]


class Tally:
    """Counts and latencies since it was last taken; `connected` alone is a level and stays.

    `deliveries` and `received_bytes` are fields and not names in `counts`, for they change with every frame.
    """

    __slots__ = ("connected", "counts", "deliveries", "latency", "received_bytes")

    def __init__(self) -> None:
        self.connected = 0
        self._clear()

    def _clear(self) -> None:
        self.deliveries = 0
        self.received_bytes = 0
        self.counts: dict[str, int] = {}
        self.latency = Histogram()

    def add(self, name: str, count: int = 1) -> None:
        """Count something by its name."""
        self.counts[name] = self.counts.get(name, 0) + count

    def take(self) -> tuple[dict[str, int], HistogramCounts]:
        """Take what was counted and begin anew."""
        taken = self.counts
        if self.received_bytes:
            taken |= {"deliveries": self.deliveries, "received_bytes": self.received_bytes}
        latency = self.latency.counts()
        self._clear()
        return taken, latency
