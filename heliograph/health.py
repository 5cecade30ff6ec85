"""Makes what tells an operator how a process is."""

from importlib.metadata import version

from broker.store.address import SqliteAddress, parse_address
from gateway.health import DependencyHealth, Readiness
from gateway.health_detail import CarrierHealth, HealthDetail
from gateway.node import Node
from heliograph.consumers import ConsumersPart
from heliograph.ground import Ground
from heliograph.pusher import PusherPart

__all__ = ["make_health_detail", "tell_of_carriers", "tell_of_consumers", "tell_of_node"]


def make_health_detail(ground: Ground, readiness: Readiness) -> HealthDetail:
    """Make it; carriers are told of by `tell_of_carriers`."""
    address = parse_address(ground.settings.store.url)
    file = address.file if isinstance(address, SqliteAddress) else None
    return HealthDetail(readiness, ground.overrides, ground.clock, version=version("heliograph"), store_file=file)


def tell_of_carriers(detail: HealthDetail, pusher: PusherPart) -> None:
    """Have it tell of a pipeline's carriers."""
    detail.carriers = lambda: [
        CarrierHealth(
            one.name,
            one.breaker,
            one.under_way,
            one.is_paused,
            one.complaint,
            one.last.latency_ms,
            one.last.at,
            one.last.error,
            one.last.error_at,
            one.rate_share,
        )
        for one in pusher.carriers()
    ]


def tell_of_node(detail: HealthDetail, node: Node) -> None:
    """Have it tell of backends behind proxies and of issuers that publish their keys, by the calls that were made anyway."""
    detail.leans_on += [
        lambda: [
            DependencyHealth.of(f"proxy:{one.event}:{one.name}", one.last, breaker=one.state.value)
            for one in node.proxies.backends
        ],
        lambda: [DependencyHealth.of(f"issuer:{one.name}", one.last, age_s=one.age_s) for one in node.tokens.key_states()],
    ]


def tell_of_consumers(detail: HealthDetail, consumers: ConsumersPart) -> None:
    """Have it tell of the sources of consumers."""
    detail.leans_on.append(lambda: [DependencyHealth.of(f"consumer:{name}", look) for name, look in consumers.looks()])
