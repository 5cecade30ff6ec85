"""What a node tells Prometheus: read from the node's own counters when asked, so that the hot path counts in plain integers."""

from collections.abc import Iterable

from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, disable_created_metrics, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.auth.key_metrics import key_metrics
from gateway.call_metrics import call_metrics, command_metrics
from gateway.door_metrics import door_metrics
from gateway.node import Node
from gateway.protocol.error_classes import class_of_disconnect
from gateway.proxy.metrics import proxy_metrics
from gateway.rule_age_metrics import rule_age_metrics
from gateway.rule_metrics import rule_metrics
from gateway.tallies import CallTally

__all__ = ["NodeCollector", "metrics_route"]


def metrics_route() -> Route:
    """Make `/metrics`: everything that this process has registered, without a second series for when each counter was made."""
    disable_created_metrics()  # type: ignore[no-untyped-call]

    async def metrics(_request: Request) -> Response:
        return Response(generate_latest(REGISTRY), media_type=CONTENT_TYPE_LATEST)

    return Route("/metrics", metrics)


class NodeCollector(Collector):
    """Reads a node, and what counts the calls of its API."""

    def __init__(self, node: Node, calls: CallTally) -> None:
        self._node, self._calls = node, calls

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
        yield from self._collect_health()
        yield CounterMetricFamily("heliograph_frames_written", "Frames sent to clients", statistics.frames_written)
        yield CounterMetricFamily("heliograph_messages_written", "Messages sent to clients", statistics.messages_written)
        closed = CounterMetricFamily("heliograph_disconnects", "Closed connections by code", labels=["code", "class"])
        for code, count in sorted(self._node.disconnects_by_code.items()):
            closed.add_metric([str(code), class_of_disconnect(code)], count)
        yield closed
        yield from command_metrics(self._node.commands)
        yield from call_metrics(self._calls)
        yield from rule_metrics(self._node)
        if self._node.rule_watch is not None:
            yield from rule_age_metrics(self._node.rule_watch.ages())
        yield from proxy_metrics(self._node.proxies.backends)
        yield from key_metrics(self._node.tokens.key_states())
        yield from door_metrics(self._node.door)

    def _collect_health(self) -> Iterable[Metric]:
        node = self._node
        for name, count in node.engine.gauges().items():
            yield GaugeMetricFamily(f"heliograph_engine_{name}", f"What the real-time engine holds: {name}", count)
        away = GaugeMetricFamily("heliograph_dependency_away", "1 while it does not answer", labels=["dependency"])
        for dependency in ("engine", "store"):
            away.add_metric([dependency], int(dependency in node.readiness.away()))
        yield away
        info = GaugeMetricFamily("heliograph_node", "Always 1: which node answers", labels=["uid", "name", "version"])
        info.add_metric([node.uid, node.name, node.version], 1)
        yield info
        yield GaugeMetricFamily("heliograph_loop_lag_seconds", "How late the event loop is, averaged", node.lag.average_s)
        yield GaugeMetricFamily("heliograph_ready", "Whether new clients should be sent here", int(node.readiness.is_ready))
        denied = CounterMetricFamily("heliograph_connections_denied", "Connections answered 503, by reason", labels=["reason"])
        for reason, count in node.admission.denied_by_reason.items():
            denied.add_metric([reason], count)
        yield denied
