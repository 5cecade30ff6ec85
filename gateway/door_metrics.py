"""What the limits of the door tell Prometheus, where there are any. Labels name limits, never whom they met."""

from collections.abc import Iterable

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from gateway.door import Door

__all__ = ["door_metrics"]


def door_metrics(door: Door | None) -> Iterable[Metric]:
    """Write what was refused, what is remembered, and what could not be counted with the other nodes."""
    if door is None:
        return
    refused = CounterMetricFamily("heliograph_limited", "Knocks, commands and calls that came too fast", labels=["limit"])
    untold = CounterMetricFamily(
        "heliograph_limits_untold", "Counts that other nodes could not be told of, the engine being away", labels=["limit"]
    )
    keys = GaugeMetricFamily("heliograph_limit_keys", "Addresses or users that are remembered", labels=["limit"])
    for rate in door.rates:
        limit = [rate.name.removeprefix("door.")]
        refused.add_metric(limit, rate.refused)
        untold.add_metric(limit, rate.untold)
        keys.add_metric(limit, len(rate))
    yield from (refused, untold, keys)
