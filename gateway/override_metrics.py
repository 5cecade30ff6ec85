"""What overrides tell Prometheus: how many of each kind are in force in this process."""

from collections import Counter
from collections.abc import Iterable

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from broker.overrides import Kind
from broker.present_overrides import PresentOverrides

__all__ = ["OverrideCollector"]


class OverrideCollector(Collector):
    """Reads what is in force."""

    def __init__(self, present: PresentOverrides) -> None:
        self._present = present

    def collect(self) -> Iterable[Metric]:
        counts = Counter(one.kind for one in self._present.now.overrides)
        active = GaugeMetricFamily("heliograph_override_active", "Overrides that are in force here", labels=["kind"])
        for kind in Kind:
            active.add_metric([kind.value], counts[kind])
        yield active
