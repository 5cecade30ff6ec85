"""What event proxies tell Prometheus.

| metric | labels | says |
|---|---|---|
| `heliograph_proxy_calls_total` | event, proxy, outcome | questions by how they ended; see `CallOutcome` |
| `heliograph_proxy_call_seconds` | event, proxy | histogram of the time until the answer, or until it was given up |
| `heliograph_proxy_breaker` | event, proxy, state | 1 for the state that the breaker is in, 0 for the others |

`event` is what is asked about, `proxy` a name from the settings (`default` for the event's own section): both have few values,
and none comes from a client or a backend.
"""

from collections.abc import Iterable, Sequence

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

from broker.breaker import BreakerState
from gateway.proxy.backend import Backend

__all__ = ["proxy_metrics"]

_LABELS = ("event", "proxy")


def proxy_metrics(backends: Sequence[Backend[object]]) -> Iterable[Metric]:
    """Read the counters of backends; of none there are no metrics."""
    if not backends:
        return
    calls = CounterMetricFamily("heliograph_proxy_calls", "Questions to the backend", labels=[*_LABELS, "outcome"])
    seconds = HistogramMetricFamily("heliograph_proxy_call_seconds", "Time until the backend's answer", labels=_LABELS)
    breaker = GaugeMetricFamily("heliograph_proxy_breaker", "State of a breaker", labels=[*_LABELS, "state"])
    for backend in backends:
        labels, statistics = (backend.event, backend.name), backend.statistics
        for outcome, count in statistics.calls_by_outcome.items():
            calls.add_metric([*labels, outcome.value], count)
        seconds.add_metric(labels, statistics.timings.cumulated(), statistics.timings.seconds)
        for state in BreakerState:
            breaker.add_metric([*labels, state.value], float(backend.state is state))
    yield calls
    yield seconds
    yield breaker
