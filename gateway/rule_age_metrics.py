"""How old the rules of a process are: of roles, policies, API keys and overrides, since when the store may have had others.

Some seconds are a store that is slow; more, one that is away, or rules that cannot be read. What was in force stays so.
"""

from collections.abc import Callable, Iterable, Mapping

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from broker.rules import Subject

__all__ = ["RuleAgeCollector", "rule_age_metrics"]

_HELP = "Time since what is in force was last held against the store"


def rule_age_metrics(ages: Mapping[Subject, float]) -> Iterable[Metric]:
    """Write ages in seconds. Where nothing was read there are no metrics."""
    if not ages:
        return
    family = GaugeMetricFamily("heliograph_rules_age_seconds", _HELP, labels=["subject"])
    for subject, age_s in sorted(ages.items()):
        family.add_metric([subject.value], age_s)
    yield family


class RuleAgeCollector(Collector):
    """Reads the ages of a process that has no node."""

    def __init__(self, ages: Callable[[], Mapping[Subject, float]]) -> None:
        self._ages = ages

    def collect(self) -> Iterable[Metric]:
        return rule_age_metrics(self._ages())
