"""What consumers count, for Prometheus. Labels are the names that the settings give them."""

from prometheus_client import CollectorRegistry, Counter, Gauge

from broker.event_source import Again, Backlog, Dead, Done
from config.clock import Clock

__all__ = ["Metrics"]

_OUTCOMES = {Done: "done", Dead: "dead", Again: "retried"}


class Metrics:
    """The series of one registry, which can be registered at another one as a whole."""

    def __init__(self, registry: CollectorRegistry, clock: Clock) -> None:
        self.registry, self._clock = registry, clock
        self._items = Counter(
            "heliograph_consumer_items",
            "Items that were tried, by how that ended: done, retried (they come again), dead (put aside).",
            ("consumer", "outcome"),
            registry=registry,
        )
        self._backlog = Gauge("heliograph_consumer_backlog", "Items that wait.", ("consumer",), registry=registry)
        self._lag = Gauge(
            "heliograph_consumer_lag_seconds", "How long the oldest item has waited.", ("consumer",), registry=registry
        )

    def watch(self, consumer: str) -> None:
        """Make a consumer's series, so that they are there at zero."""
        for outcome in _OUTCOMES.values():
            self._items.labels(consumer, outcome)
        self.measured(consumer, Backlog(0))

    def ended(self, consumer: str, end: Done | Dead | Again) -> None:
        """Count a try."""
        self._items.labels(consumer, _OUTCOMES[type(end)]).inc()

    def measured(self, consumer: str, backlog: Backlog) -> None:
        """Note how much there is to do."""
        self._backlog.labels(consumer).set(backlog.items)
        lag_s = 0.0 if backlog.oldest_at is None else (self._clock.now() - backlog.oldest_at).total_seconds()
        self._lag.labels(consumer).set(max(0.0, lag_s))
