"""`heliograph serve`: gateway, pipeline, engine and store in one process, opened in order and closed in reverse."""

import asyncio
import contextlib
import gc
import resource
import signal
import socket
import sys
from importlib.metadata import version

import click
from prometheus_client import REGISTRY
from starlette.routing import BaseRoute

from broker.store.store import Store
from config.clock import Clock, SystemClock
from config.errors import SettingsError
from config.logs import configure_logging, get_logger
from config.readiness import advise
from config.settings import Settings
from gateway.api.call import Calls
from gateway.api.channels import channel_methods
from gateway.api.connections import connection_methods
from gateway.api.endpoint import ApiEndpoint
from gateway.api.method import table_of
from gateway.api.publishing import publishing_methods
from gateway.api.rpc import rpc_api_methods
from gateway.api.trust import trust_methods
from gateway.app import GatewayApp, GatewayServer
from gateway.demo.routes import demo_routes
from gateway.metrics import NodeCollector
from gateway.node import Node
from gateway.notify.methods import notification_methods
from gateway.notify.rpc import rpc_methods
from gateway.notify.service import NotificationService
from gateway.openapi.routes import openapi_routes
from heliograph.commands.token import make_token
from heliograph.demo import demo_context, start_simulators
from heliograph.development import Development, banner
from heliograph.parts import make_engine, open_durable_store
from pushers.pipeline import Pipeline
from pushers.providers.configured import build_providers

__all__ = ["run"]

_log = get_logger()
_DEMO_TOKEN_S = 24 * 3600.0


def run(settings: Settings, *, development: Development | None = None) -> int:
    """Serve until SIGTERM or SIGINT; returns the exit code.

    Raises:
        SettingsError: It cannot start; one line per reason.
    """
    configure_logging(settings.log.level, settings.log.format)
    _raise_file_limit()
    listener = _listen(settings.http.host, settings.http.port)
    with contextlib.closing(listener), asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(_Server(settings, development, listener).serve())
    return 0


class _Server:
    """One serving process: what it opens stays on the stack and is closed in reverse order."""

    def __init__(self, settings: Settings, development: Development | None, listener: socket.socket) -> None:
        self._settings, self._development, self._listener = settings, development, listener
        self._port: int = listener.getsockname()[1]
        self._clock: Clock = SystemClock()
        self._stack = contextlib.AsyncExitStack()

    async def serve(self) -> None:
        stopped = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stopped.set)
        async with self._stack:
            routes = await self._start_development()
            settings = self._settings
            engine = make_engine(settings, self._clock)
            store = await open_durable_store(settings, self._clock)
            self._stack.push_async_callback(store.close)
            service = NotificationService(store.ledger, store.devices, store.preferences, settings.notifications)
            node = Node(settings, engine, self._clock, version=version("heliograph"), rpc_methods=rpc_methods(service))
            self._stack.push_async_callback(node.proxies.close)
            await engine.start()
            self._stack.push_async_callback(engine.close)
            pipeline = self._make_pipeline(node, store)
            calls = Calls(
                table_of(
                    [
                        *publishing_methods(node.rules, engine.pubsub),
                        *channel_methods(node.rules, engine.history, engine.presence, engine.control),
                        *connection_methods(node.rules, engine.control),
                        *trust_methods(engine.revocation, engine.control, self._clock),
                        *rpc_api_methods(),
                        *notification_methods(service),
                    ]
                )
            )
            app = GatewayApp(
                settings,
                node,
                ApiEndpoint(settings.http_api, calls),
                routes=[*routes, *openapi_routes(calls.methods, version=node.version)],
            )
            await self._work(node, GatewayServer(app, node), pipeline, stopped)

    async def _start_development(self) -> list[BaseRoute]:
        """Start what only development mode has; the settings then point at the simulators."""
        if self._development is None:
            return []
        simulators = await start_simulators(self._development)
        self._stack.push_async_callback(simulators.close)
        self._settings = self._development.settings(simulators.providers, port=self._port)
        settings = self._settings
        api_key = settings.http_api.keys[0].get_secret_value() if settings.http_api.keys else ""

        def token_for(user: str) -> str:
            now = self._clock.now().timestamp()
            return make_token(settings, user=user, channel=None, ttl_s=_DEMO_TOKEN_S, now=now)

        return [*demo_routes(demo_context(self._development, simulators, api_key, token_for))]

    def _make_pipeline(self, node: Node, store: Store) -> Pipeline:
        settings, engine = self._settings, node.engine
        providers = build_providers(settings.providers, clock=self._clock)
        for provider in providers:
            self._stack.push_async_callback(provider.close)
        return Pipeline(
            ledger=store.ledger,
            pubsub=engine.pubsub,
            user_presence=engine.users,
            limits=engine.limits,
            rules=node.rules,
            providers=providers,
            provider_limits={provider.name: getattr(settings.providers, provider.name) for provider in providers},
            settings=settings.notifications,
            clock=self._clock,
            worker_id=node.uid,
        )

    async def _work(self, node: Node, server: GatewayServer, pipeline: Pipeline, stopped: asyncio.Event) -> None:
        collector = NodeCollector(node)
        REGISTRY.register(collector)
        REGISTRY.register(pipeline.metrics.registry)
        node.start()
        _quieten_collector()
        self._greet()
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(pipeline.run(), name="pipeline")
                serving = group.create_task(server.run_on(self._listener), name="server")
                ending = group.create_task(stopped.wait(), name="signals")
                await asyncio.wait((serving, ending), return_when=asyncio.FIRST_COMPLETED)
                ending.cancel()
                await self._end(node, server, pipeline)
        finally:
            REGISTRY.unregister(pipeline.metrics.registry)
            REGISTRY.unregister(collector)

    async def _end(self, node: Node, server: GatewayServer, pipeline: Pipeline) -> None:
        """Shut down, each step after the other; what is opened around this is closed after it."""
        _log.info("node.draining", clients=node.statistics().clients)
        timeout_s = self._settings.node.shutdown_timeout
        node.is_draining = True  # 1 health says no
        stopping = asyncio.ensure_future(pipeline.stop())  # 2 no step is claimed any more; what is under way finishes
        await node.drain(timeout_s / 2)  # 3 clients are told to go, and their commands finish
        server.should_exit = True  # 4 no connection is taken any more; requests under way finish
        await stopping  # 5 deliveries are recorded, leases given back
        node.stop()
        _log.info("node.stopped")

    def _greet(self) -> None:
        """Say where to go; before the port answers, so that whoever waits for either has both."""
        settings = self._settings
        if self._development is not None:
            http = settings.http.model_copy(update={"port": self._port})
            click.echo(banner(settings.model_copy(update={"http": http}), self._development), nl=False)
        else:
            click.echo(f"heliograph {version('heliograph')} serves http://{settings.http.host}:{self._port}")
        sys.stdout.flush()
        for line in advise(settings):
            _log.warning("settings.advice", advice=line)


def _listen(host: str, port: int) -> socket.socket:
    """Bind the port now, so that a taken one is told before anything else is opened.

    Raises:
        SettingsError: It cannot be bound.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host.strip("[]"), port))
        listener.setblocking(False)
    except OSError as exc:
        listener.close()
        raise SettingsError([f"http.port: cannot listen on {host}:{port}: {exc.strerror}"]) from None
    return listener


def _raise_file_limit() -> None:
    """Each connection is a file; take as many as the system grants."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _quieten_collector() -> None:
    """Keep what lives as long as the process out of the collector's sight: at 19,000 connections it cost 30 % of the CPU."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


def _loop_factory() -> type[asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ImportError:
        return None  # asyncio's own does as well, slower
    return uvloop.Loop
