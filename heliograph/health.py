"""Makes what tells an operator how a process is."""

from importlib.metadata import version

from broker.store.address import SqliteAddress, parse_address
from gateway.health import Readiness
from gateway.health_detail import CarrierHealth, HealthDetail
from heliograph.ground import Ground
from heliograph.pusher import PusherPart

__all__ = ["make_health_detail", "tell_of_carriers"]


def make_health_detail(ground: Ground, readiness: Readiness) -> HealthDetail:
    """Make it; carriers are told of by `tell_of_carriers`."""
    address = parse_address(ground.settings.store.url)
    file = address.file if isinstance(address, SqliteAddress) else None
    return HealthDetail(readiness, ground.overrides, ground.clock, version=version("heliograph"), store_file=file)


def tell_of_carriers(detail: HealthDetail, pusher: PusherPart) -> None:
    """Have it tell of a pipeline's carriers."""
    detail.carriers = lambda: [
        CarrierHealth(one.name, one.breaker, one.under_way, one.is_paused, one.complaint) for one in pusher.carriers()
    ]
