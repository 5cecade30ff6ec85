"""What a node tells Prometheus: read from the node's own counters when asked, so that the hot path counts in plain integers."""

from collections.abc import Iterable

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from gateway.node import Node

__all__ = ["NodeCollector"]


class NodeCollector(Collector):
    """Reads a node."""

    def __init__(self, node: Node) -> None:
        self._node = node

    def collect(self) -> Iterable[Metric]:
        statistics = self._node.statistics()
        for name, help_text, value in (
            ("heliograph_clients", "Connected clients", statistics.clients),
            ("heliograph_users", "Users with a connection", statistics.users),
            ("heliograph_rooms", "Channels with subscribers", statistics.rooms),
            ("heliograph_subscriptions", "Subscriptions", statistics.subscriptions),
            ("heliograph_transports", "Open transports, connected or not yet", statistics.transports),
        ):
            yield GaugeMetricFamily(name, help_text, value)
        yield CounterMetricFamily("heliograph_frames_written", "Frames sent to clients", statistics.frames_written)
        yield CounterMetricFamily("heliograph_messages_written", "Messages sent to clients", statistics.messages_written)
        closed = CounterMetricFamily("heliograph_disconnects", "Closed connections by code", labels=["code"])
        for code, count in sorted(self._node.disconnects_by_code.items()):
            closed.add_metric([str(code)], count)
        yield closed
