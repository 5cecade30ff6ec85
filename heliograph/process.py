"""One process: its engine and store, the parts of its role, and its end. Opened in order, closed in reverse."""

import asyncio
import contextlib
import signal
import socket
import uuid
from collections.abc import Awaitable, Callable, Sequence

import msgspec
from prometheus_client import REGISTRY
from starlette.routing import BaseRoute

from broker.present_overrides import PresentOverrides
from config.clock import Clock, SystemClock
from config.settings import Settings
from gateway.audit_metrics import AuditCollector
from gateway.health import Readiness
from gateway.lag import LoopLag
from gateway.tls import ExpiryCollector, ServerTls
from heliograph.admin import Admin
from heliograph.caching import with_caches
from heliograph.consumers import ConsumersPart
from heliograph.ending import Ending
from heliograph.expiries import Expiries
from heliograph.gateway import GatewayPart
from heliograph.ground import Ground, Part, probes_of
from heliograph.health import make_health_detail, tell_of_carriers, tell_of_consumers, tell_of_node
from heliograph.loop import quieten_collector
from heliograph.operations import OperationsPart
from heliograph.overrides import OverridesPart
from heliograph.parts import make_engine, open_durable_store, restore_revocations, start_engine
from heliograph.pusher import PusherPart
from heliograph.roles import Role
from heliograph.tracing import with_tracing

__all__ = ["Process", "Sockets"]

_Hook = Callable[[], Awaitable[None]]


class Sockets(msgspec.Struct, frozen=True):
    """Bound ports: that of clients and the API, and that of operators; None for what this process does not have."""

    clients: socket.socket | None = None
    operations: socket.socket | None = None


def _both(first: Callable[[], list[str]], second: Callable[[], list[str]]) -> Callable[[], list[str]]:
    return lambda: first() + second()


async def _follow(tls: ServerTls | None) -> None:
    """Have new certificates shown, by their files or at SIGHUP; without TLS that signal means what the system says."""
    if tls is not None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, tls.look_now)
        await tls.watch()


class Process:
    """What runs until its `Ending` begins."""

    def __init__(self, settings: Settings, role: Role, sockets: Sockets, *, routes: Sequence[BaseRoute] = ()) -> None:
        self._settings, self._role, self._sockets, self._routes = settings, role, sockets, routes
        self._clock: Clock = SystemClock()

    async def run(self, ending: Ending, *, opened: _Hook, ready: _Hook | None = None) -> None:
        """Open everything, serve, and end when told.

        Args:
            ending: Tells when and how.
            opened: Called when everything is open, right before the ports answer.
            ready: Called when they answer.
        Raises:
            SettingsError: It cannot start; one line per reason.
        """
        async with contextlib.AsyncExitStack() as resources:
            settings = self._settings
            engine = make_engine(settings, self._clock)
            store = await open_durable_store(settings, self._clock)
            resources.push_async_callback(store.close)
            resources.push_async_callback(engine.close)
            store.audit.begin(settings.node.name or self._role.name)
            collector = AuditCollector(store.audit)
            REGISTRY.register(collector)
            resources.callback(REGISTRY.unregister, collector)
            tls = ServerTls(settings.http.tls, self._clock) if settings.http.tls.is_on else None
            overrides = PresentOverrides(store.overrides, self._clock)
            ground = Ground(settings, self._clock, engine, store, str(uuid.uuid4()), resources, overrides, tls)
            ground = with_caches(with_tracing(ground))
            expiries = Expiries(tls, settings.broker.cert_file)
            ends = ExpiryCollector(expiries.look)
            REGISTRY.register(ends)
            resources.callback(REGISTRY.unregister, ends)
            readiness, parts = self._make_parts(ground, expiries)
            await start_engine(ground.engine)
            if self._role.has_clients:
                await restore_revocations(ground.revocation)
            for part in parts:
                if isinstance(part, ConsumersPart | GatewayPart | OverridesPart):
                    await part.open()
            await opened()
            await self._work(ground, readiness, parts, ending, ready)

    def _make_parts(self, ground: Ground, expiries: Expiries) -> tuple[Readiness, list[Part]]:
        """Make the parts of the role in the order in which they are stopped; overrides and the operators' port are last."""
        parts: list[Part] = []
        admin: Admin | None = None
        lag = LoopLag(0.0)  # nobody is let into a process without clients
        readiness = Readiness(lag, self._clock, grace_s=self._settings.health.grace)
        detail = make_health_detail(ground, readiness)
        if self._sockets.clients is not None:
            has_operations = self._sockets.operations is not None
            gateway = GatewayPart(ground, self._sockets.clients, self._routes, has_operations=has_operations)
            readiness, detail = gateway.node.readiness, gateway.detail
            admin = gateway.admin
            consumers = ConsumersPart(ground, gateway.calls)
            tell_of_node(detail, gateway.node)
            tell_of_consumers(detail, consumers)
            parts += [gateway, consumers]
        if self._role.has_pipeline:
            pusher = PusherPart(ground)
            readiness.concerns = _both(readiness.concerns, pusher.concerns)
            tell_of_carriers(detail, pusher)
            expiries.others.append(pusher.certificates)
            if admin is not None:
                admin.tell_of_pipeline(pusher.report)
            parts.append(pusher)
        parts.append(OverridesPart(ground, is_told=self._sockets.clients is not None))
        if self._sockets.operations is not None:
            parts.append(OperationsPart(readiness, self._sockets.operations, ground.tls, detail, admin))
        detail.certificates = expiries.look
        if ground.tls is not None:
            readiness.concerns = _both(readiness.concerns, ground.tls.concerns)
        return readiness, parts

    async def _work(
        self, ground: Ground, readiness: Readiness, parts: Sequence[Part], ending: Ending, ready: _Hook | None
    ) -> None:
        quieten_collector()
        async with asyncio.TaskGroup() as group:
            running = [group.create_task(part.run(), name=type(part).__name__) for part in parts]
            watch = group.create_task(readiness.watch(probes_of(ground)), name="readiness")
            begun = group.create_task(ending.begun.wait(), name="ending")
            following = group.create_task(_follow(ground.tls), name="certificate")
            for part in parts:
                await part.started.wait()
            if ready is not None:
                await ready()
            await asyncio.wait((*running, begun), return_when=asyncio.FIRST_COMPLETED)
            begun.cancel()
            watch.cancel()
            following.cancel()
            readiness.is_ending = True  # before anything else, so that nobody is sent here any more
            workers = [part for part in parts if not isinstance(part, OperationsPart | OverridesPart)]
            await asyncio.gather(*(part.stop(ending) for part in workers))
            for part in parts[len(workers) :]:
                await part.stop(ending)
