"""Nodes that share a store, with the methods that change rules and an endpoint that asks for keys."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest

from broker.control import Command
from broker.store.store import Store, open_store
from config.clock import ManualClock
from gateway.api.call import Calls
from gateway.api.channels import channel_methods
from gateway.api.connections import connection_methods
from gateway.api.endpoint import ApiEndpoint
from gateway.api.guard import Guard
from gateway.api.key_rate import KeyRate
from gateway.api.method import table_of
from gateway.api.publishing import publishing_methods
from gateway.app import GatewayApp
from gateway.node import Node
from gateway.rule_service import RuleService

MASTER = "key-of-the-tests"


class Line:
    """Plays the port `Control` for what these tests need of it: all nodes are told, unless the line is cut."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.is_cut = False

    async def send(self, command: Command) -> None:
        for node in [] if self.is_cut else self.nodes:
            await node._controlled().perform(command)


class RuledNode:
    """A node with its rules, and its HTTP API."""

    def __init__(self, world: Any, store: Store, line: Line) -> None:
        self.world, self.store, self.node = world, store, world.node
        node, engine = world.node, world.engine
        line.nodes.append(node)
        names: set[str] = set()
        self.rules = RuleService(node, store, line, world.clock)
        methods = [
            *publishing_methods(node.rules, engine.pubsub),
            *channel_methods(node.rules, engine.history, engine.presence, engine.control),
            *connection_methods(node.rules, engine.control),
            *self.rules.methods(names),
        ]
        guard = Guard(node.roles, node.denials, store.audit, node.policies.judge_call)
        calls = Calls(table_of(methods), world.clock, guard.allows)
        names.update(calls.methods)
        pace = KeyRate(engine.limits, world.clock)
        endpoint = ApiEndpoint(world.settings.http_api, calls, store.audit, keys=self.rules.keys, pace=pace)
        self.http = httpx.AsyncClient(
            transport=httpx.ASGITransport(GatewayApp(world.settings, node, endpoint)), base_url="http://node"
        )

    async def post(self, method: str, key: str = MASTER, /, **body: Any) -> httpx.Response:
        return await self.http.post(f"/api/{method}", content=json.dumps(body), headers={"X-API-Key": key})

    async def result(self, method: str, key: str = MASTER, /, **body: Any) -> Any:
        """Call a method that succeeds."""
        response = await self.post(method, key, **body)
        assert response.status_code == 200, response.text
        answer = response.json()
        assert answer.keys() == {"result"}, answer
        return answer["result"]

    async def error(self, method: str, key: str = MASTER, /, **body: Any) -> tuple[int, str]:
        """Call a method that fails."""
        answer = (await self.post(method, key, **body)).json()
        assert answer.keys() == {"error"}, answer
        return answer["error"]["code"], answer["error"]["message"]

    async def hear(self) -> None:
        """Wait for what another node tells; no time passes here, so it is not found by looking."""
        async with asyncio.timeout(30):  # ends a test that would hang
            await self.rules.watch.turn()


@pytest.fixture
async def open_nodes(world: Any, store_file: Path) -> AsyncIterator[Callable[..., Awaitable[Sequence[RuledNode]]]]:
    """Open nodes that share a database, and tell each other of changes; gives also the line that they do it on."""
    stores: list[Store] = []
    line = Line()

    async def open_some(count: int = 1, **settings: Any) -> Sequence[RuledNode]:
        nodes = []
        for _ in range(count):
            made = world(**settings)
            stores.append(await open_store(f"sqlite:///{store_file}", clock=made.clock))
            made.node = Node(
                made.settings,
                made.engine,
                made.clock,
                version="test",
                rpc_methods=settings.get("rpc_methods", {}),
                witness=stores[-1].audit,
            )
            nodes.append(RuledNode(made, stores[-1], line))
            await nodes[-1].rules.load()
        return nodes

    open_some.line = line  # type: ignore[attr-defined]
    yield open_some
    for store in stores:
        await store.close()


@pytest.fixture
async def ruled(open_nodes: Any) -> Callable[..., Awaitable[RuledNode]]:
    """Open one node."""

    async def open_one(**settings: Any) -> RuledNode:
        (node,) = await open_nodes(1, **settings)
        return node

    return open_one


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()
