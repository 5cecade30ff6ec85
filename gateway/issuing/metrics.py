"""What logins tell Prometheus: `heliograph_token_pairs_total`, by outcome (`gateway.issuing.service.Outcome`).

`repeated` counts answers that were given twice, `reused` logins that were ended because a refresh token was; these are refused
as well.
"""

from collections.abc import Iterable

from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

from gateway.issuing.service import TokenService

__all__ = ["IssuingCollector"]


class IssuingCollector(Collector):
    """Reads a service."""

    def __init__(self, service: TokenService) -> None:
        self._service = service

    def collect(self) -> Iterable[Metric]:
        pairs = CounterMetricFamily("heliograph_token_pairs", "Token pairs by what was done", labels=["outcome"])
        for outcome, count in self._service.counts.items():
            pairs.add_metric([outcome.value], count)
        yield pairs
