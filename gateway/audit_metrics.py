"""What the audit tells Prometheus, read from its own counters when asked."""

from collections.abc import Iterable

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from broker.audit import Audit

__all__ = ["AuditCollector"]


class AuditCollector(Collector):
    """Reads the audit of a process."""

    def __init__(self, audit: Audit) -> None:
        self._audit = audit

    def collect(self) -> Iterable[Metric]:
        statistics = self._audit.statistics()
        recorded = CounterMetricFamily("heliograph_audit_records", "Records of the audit, by decision", labels=["decision"])
        for decision, count in sorted(statistics.recorded.items()):
            recorded.add_metric([decision], count)
        yield recorded
        yield GaugeMetricFamily("heliograph_audit_queued", "Records that wait in memory to be written", statistics.queued)
        yield CounterMetricFamily("heliograph_audit_dropped", "Denials and grants that found no room", statistics.dropped)
        yield GaugeMetricFamily("heliograph_audit_failing", "1 while the audit cannot be written", int(statistics.failing))
        if statistics.verified_at:
            yield GaugeMetricFamily(
                "heliograph_audit_verified_timestamp_seconds",
                "When this process last looked the chain over",
                statistics.verified_at,
            )
            yield GaugeMetricFamily(
                "heliograph_audit_whole", "Whether the chain was whole then", int(statistics.verified_whole)
            )
