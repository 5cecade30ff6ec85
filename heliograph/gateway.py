"""The part of a process that holds connections and answers the HTTP API."""

import asyncio
import socket
from collections.abc import Mapping, Sequence
from importlib.metadata import version

from prometheus_client import REGISTRY
from starlette.routing import BaseRoute, Route

from broker.click_links import ClickLinks
from broker.inbox_news import InboxChanged, nobody_asks
from broker.open_links import OpenLinks
from broker.unsubscribe import UnsubscribeLinks
from config.logs import get_logger
from gateway.api.audited import audited
from gateway.api.call import Calls
from gateway.api.channels import channel_methods
from gateway.api.connections import connection_methods
from gateway.api.endpoint import ApiEndpoint
from gateway.api.guard import Guard
from gateway.api.key_rate import KeyRate
from gateway.api.keys import KeyBook
from gateway.api.method import Method, table_of
from gateway.api.publishing import publishing_methods
from gateway.api.rpc import rpc_api_methods
from gateway.api.trust import trust_methods
from gateway.app import GatewayApp, GatewayServer
from gateway.commands.rpc import RpcMethod
from gateway.door import rate_of
from gateway.metrics import NodeCollector
from gateway.node import Node
from gateway.notify.clicks import click_routes
from gateway.notify.opens import open_routes
from gateway.notify.operations import operation_methods
from gateway.notify.unsubscribe import unsubscribe_routes
from gateway.openapi.routes import openapi_routes
from gateway.rule_service import RuleService
from heliograph.admin import Admin
from heliograph.ending import Ending
from heliograph.ground import Ground
from heliograph.health import make_health_detail
from heliograph.inbox_news import make_inbox_news
from heliograph.issuing import Issuing
from heliograph.notifying import Notifying
from heliograph.tracing import endpoint_of, make_tracking

__all__ = ["GatewayPart"]

_log = get_logger()


class GatewayPart:
    """A node and the server in front of it."""

    def __init__(
        self, ground: Ground, listener: socket.socket, routes: Sequence[BaseRoute], *, has_operations: bool = False
    ) -> None:
        """Make it; what is for operators alone is served elsewhere where they have a port of their own (`has_operations`)."""
        self._settings, self._listener = ground.settings, listener
        store = ground.store
        self._news = news = make_inbox_news(ground, lambda user: self.node.hub.connections_of(user) > 0)
        changed = news.changed if ground.settings.notifications.inbox_counts else nobody_asks
        notifying = Notifying(ground, news, changed)
        self._overload = notifying.overload
        self.admin = Admin(ground)
        self.node = _make_node(ground, {**notifying.rpc, **self.admin.rpc})
        self.node.tokens.tell_changes(store.published_keys)
        ground.resources.push_async_callback(self.node.proxies.close)
        if ground.remembered is not None:
            self.node.on_forget = ground.remembered.caches.hear
        self.detail = make_health_detail(ground, self.node.readiness)
        issuing = Issuing(ground, self.node.tokens.connections)
        own_methods = [*issuing.methods, *notifying.methods]
        # Filled below: keys are held against the names of all methods, those that make keys included.
        names: set[str] = set()
        self._rules = rules = RuleService(self.node, store, ground.engine.control, ground.clock, ground.overrides)
        own_methods += rules.methods(names)
        self.calls = calls = _calls(ground, self.node, own_methods)
        names.update(calls.methods)
        self.admin.open(self.node, calls, self.detail)
        self.app = app = GatewayApp(
            ground.settings,
            self.node,
            _endpoint(ground, calls, rules.keys),
            detail=self.detail,
            routes=[
                *routes,
                *(() if has_operations else self.admin.routes),
                *issuing.routes,
                *openapi_routes(calls.methods, version=self.node.version),
                *_link_routes(ground, changed),
            ],
        )
        self._server = GatewayServer(app, self.node, ground.tls)
        self.started = self._server.listening
        self._ended = asyncio.Event()

    async def open(self) -> None:
        """Read the rules, before anybody is served.

        Raises:
            SettingsError: The policy cannot be used; one line per reason.
        """
        await self._rules.load()

    async def run(self) -> None:
        collector = NodeCollector(self.node, self.calls.tally)
        REGISTRY.register(collector)
        REGISTRY.register(self._overload)
        self.node.start()
        telling = asyncio.create_task(self._news.run(), name="inbox:news")  # owned here: ended below
        keeping = asyncio.create_task(self.node.tokens.run(), name="keys")  # as well
        watching = asyncio.create_task(self._rules.run(), name="rules")  # as well
        looking = asyncio.create_task(self._overload.run(), name="overload")  # as well
        showing = asyncio.create_task(self.admin.run(), name="admin")  # as well
        try:
            await self._server.run_on(self._listener)
        finally:
            telling.cancel()
            keeping.cancel()
            watching.cancel()
            looking.cancel()
            showing.cancel()
            await asyncio.wait({telling, keeping, watching, looking, showing})
            self.node.stop()
            REGISTRY.unregister(collector)
            REGISTRY.unregister(self._overload)
            self._ended.set()

    async def stop(self, ending: Ending) -> None:
        """End in steps; `heliograph.process` has made readiness say no before."""
        settings = self._settings.node
        if ending.is_replaced:
            self._server.stop_accepting()  # 1 whoever comes now comes to the successor
        elif settings.shutdown_delay:
            await ending.pause(settings.shutdown_delay)  # 1 load balancers see that it is no longer ready
        _log.info("node.draining", clients=self.node.statistics().clients)
        ending.on_hurry(self.node.hurry)
        spread_s = 0.0 if ending.is_hurried else settings.shutdown_spread
        await self.node.drain(settings.shutdown_timeout, spread_s=spread_s)  # 2 clients go, their commands finish
        self._server.should_exit = True  # 3 no connection is taken any more; requests under way finish
        await self._ended.wait()
        _log.info("node.stopped")


def _make_node(ground: Ground, rpc: Mapping[str, RpcMethod]) -> Node:
    return Node(
        ground.settings,
        ground.engine,
        ground.clock,
        version=version("heliograph"),
        rpc_methods=rpc,
        revocation=ground.revocation,
        witness=ground.store.audit,
        tracing=ground.tracing,
    )


def _link_routes(ground: Ground, changed: InboxChanged) -> list[Route]:
    """Make what links in mails and browser notifications lead to."""
    settings, tracking = ground.settings.notifications, make_tracking(ground)
    clicks, opens = ClickLinks.of(settings.clicks), OpenLinks.of(settings.opens)
    return [
        *unsubscribe_routes(UnsubscribeLinks.of(settings.unsubscribe), ground.store.preferences),
        *([] if clicks is None else click_routes(clicks, tracking, ground.clock, changed)),
        *([] if opens is None else open_routes(opens, tracking, settings.opens, ground.clock, changed)),
    ]


def _endpoint(ground: Ground, calls: Calls, keys: KeyBook) -> ApiEndpoint:
    return endpoint_of(ground, calls)(
        ground.settings.http_api,
        calls,
        ground.store.audit,
        keys=keys,
        pace=KeyRate(ground.engine.limits, ground.clock),
        key_rate=rate_of(ground.settings.limits.calls_per_key),
    )


def _calls(ground: Ground, node: Node, own_methods: Sequence[Method]) -> Calls:
    engine = ground.engine
    return Calls(
        table_of(
            [
                *publishing_methods(node.rules, engine.pubsub),
                *audited(channel_methods(node.rules, engine.history, engine.presence, engine.control), ground.store.audit),
                *audited(connection_methods(node.rules, engine.control), ground.store.audit),
                *audited(trust_methods(ground.revocation, engine.control, ground.clock), ground.store.audit),
                *operation_methods(ground.store, ground.clock, ground.settings.notifications.costs),
                *rpc_api_methods(node.call_rpc),
                *own_methods,
            ]
        ),
        ground.clock,
        Guard(node.roles, node.denials, ground.store.audit, node.policies.judge_call).allows,
    )
