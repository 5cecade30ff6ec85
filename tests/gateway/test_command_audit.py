"""What clients and callers of the API are refused, and what is changed, as the audit of a real store tells it over the API."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from broker.store.store import open_store
from config.audit_settings import AuditSettings
from config.settings import NotificationSettings
from gateway.api.audit import audit_methods
from gateway.api.audited import CHANGES, audited
from gateway.api.channels import channel_methods
from gateway.api.connections import connection_methods
from gateway.api.endpoint import ApiEndpoint
from gateway.api.trust import trust_methods
from gateway.app import GatewayApp
from gateway.node import Node
from gateway.notify.rpc import rpc_methods
from gateway.notify.service import NotificationService
from gateway.transports.websocket import WebSocketConnection

NAMESPACE = {"name": "docs", "presence": True, "history_size": 10, "history_ttl": "1m"}
CHANNEL = {"without_namespace": {"presence": True}, "namespaces": [NAMESPACE]}
ADDRESS = "192.0.2.7"


class Audited:
    """A node and an API that tell the audit of a store."""

    def __init__(self, world: Any, api: Any, store: Any) -> None:
        self.world, self.store = world, store
        service = NotificationService(store.ledger, store.devices, store.preferences, NotificationSettings())
        world.node = Node(
            world.settings,
            world.engine,
            world.clock,
            version="test",
            rpc_methods=rpc_methods(service),
            witness=store.audit,
        )
        node, engine = world.node, world.engine
        changing = [
            *channel_methods(node.rules, engine.history, engine.presence, engine.control),
            *connection_methods(node.rules, engine.control),
            *trust_methods(engine.revocation, engine.control, world.clock),
        ]
        self.api = api(world, [*audited(changing, store.audit), *audit_methods(store.audit)])
        endpoint = ApiEndpoint(world.settings.http_api, self.api.calls, store.audit)
        transport = httpx.ASGITransport(GatewayApp(world.settings, node, endpoint), client=("198.51.100.4", 5555))
        self.api.http = httpx.AsyncClient(transport=transport, base_url="http://node")

    async def search(self, **request: Any) -> list[dict[str, Any]]:
        """Ask the audit over the API; oldest first."""
        return list(reversed((await self.api.result("audit_search", **request))["items"]))


@pytest.fixture
async def open_audited(world: Any, api: Any, store_file: Path) -> AsyncIterator[Callable[..., Any]]:
    stores = []

    async def make(audit: dict[str, Any] | None = None, **sections: Any) -> Audited:
        made = world(channel=CHANNEL, audit=audit or {}, **sections)
        store = await open_store(f"sqlite:///{store_file}", clock=made.clock, audit=AuditSettings(**(audit or {})))
        stores.append(store)
        return Audited(made, api, store)

    yield make
    for store in stores:
        await store.close()


@pytest.fixture
async def node(open_audited: Any) -> Audited:
    return await open_audited()


async def test_a_denied_subscribe_shows_up_with_the_rule_that_decided(node: Any) -> None:
    client = node.world.connected("ann")
    for number, channel in enumerate(("docs:plan", "lobby", "docs:plan"), 2):
        (reply,) = client.send({"id": number, "subscribe": {"channel": channel}})
        assert reply["error"]["code"] == 103
    first, second = await node.search(decision="denied", user="ann")
    assert first["correlation_id"] == client.session.client.id
    told = {name: first[name] for name in ("action", "resource", "actor", "user", "address", "transport", "details")}
    assert told == {
        "action": "channel.subscribe",
        "resource": "channel:docs:plan",
        "actor": "user:ann",
        "user": "ann",
        "address": ADDRESS,
        "transport": "websocket",
        "details": {"count": 2},
    }
    assert (first["rule"], second["rule"]) == ("channel.namespaces[docs]", "channel.without_namespace")


async def test_every_denied_command_is_told(node: Any) -> None:
    client = node.world.connected("ann")
    client.send(
        {"id": 2, "publish": {"channel": "docs:plan", "data": {}}},
        {"id": 3, "presence": {"channel": "docs:plan"}},
        {"id": 4, "presence_stats": {"channel": "docs:plan"}},
        {"id": 5, "history": {"channel": "docs:plan"}},
        {"id": 6, "subscribe": {"channel": "$private"}},
        {"id": 7, "subscribe": {"channel": "docs:x", "token": "rubbish"}},
    )
    found = await node.search(actor="user:ann")
    assert [(item["action"], item["resource"]) for item in found] == [
        ("channel.publish", "channel:docs:plan"),
        ("channel.presence", "channel:docs:plan"),
        ("channel.presence_stats", "channel:docs:plan"),
        ("channel.history", "channel:docs:plan"),
        ("channel.subscribe", "channel:$private"),
        ("channel.subscribe", "channel:docs:x"),
    ]
    assert {item["decision"] for item in found} == {"denied"}
    assert found[-1]["rule"].startswith("token: ")
    assert "rubbish" not in str(found)


async def test_what_is_wrong_but_nobody_forbids_is_no_denial(node: Any) -> None:
    client = node.world.connected("ann")
    client.send({"id": 2, "subscribe": {"channel": "nowhere:x"}}, {"id": 3, "history": {"channel": "lobby"}})
    client.send({"id": 4, "subscribe": {"channel": ""}})
    assert await node.search() == []


async def test_a_token_that_is_not_believed_is_told_without_it(node: Any) -> None:
    client = node.world.client()
    client.send({"id": 1, "connect": {"token": node.world.token("ann") + "x"}})
    assert client.closed == (3500, "invalid token")
    (item,) = await node.search()
    assert (item["action"], item["decision"], item["actor"]) == ("client.connect", "denied", "unknown")
    assert item["rule"].startswith("token: ")


async def test_who_is_blocked_is_told_and_who_blocked_it(node: Any) -> None:
    await node.api.result("block_user", user="ann")
    client = node.world.client()
    client.send({"id": 1, "connect": {"token": node.world.token("ann")}})
    blocked, denied = await node.search()
    assert (blocked["action"], blocked["user"], blocked["actor"]) == ("user.blocked", "ann", "api_key:key-o…")
    assert (blocked["address"], blocked["transport"]) == ("198.51.100.4", "api")
    assert (denied["action"], denied["decision"]) == ("client.connect", "denied")


class Socket(asyncio.Transport):
    """As much of a socket as a handshake needs."""

    def __init__(self) -> None:
        super().__init__({"peername": ("192.0.2.9", 4711)})
        self.written = b""

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """It never waits."""

    def get_write_buffer_size(self) -> int:
        return 0

    def write(self, data: Any) -> None:
        self.written += bytes(data)

    def close(self) -> None:
        """Nothing is left to send."""


async def test_a_page_that_must_not_connect_is_told(node: Any) -> None:
    connection, socket = WebSocketConnection(node.world.node), Socket()
    connection.connection_made(socket)
    connection.data_received(
        b"GET /connection/websocket HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\nOrigin: https://evil.test\r\n\r\n"
    )
    assert socket.written.startswith(b"HTTP/1.1 403")
    (item,) = await node.search()
    assert (item["action"], item["decision"], item["rule"]) == ("client.connect", "denied", "client.allowed_origins")
    assert (item["address"], item["details"]) == ("192.0.2.9", {"origin": "https://evil.test"})


async def test_grants_are_told_where_they_are_asked_for(open_audited: Any) -> None:
    node = await open_audited({"grants": ["connect", "rpc"]})
    client = node.world.connected("ann")
    client.send({"id": 2, "presence": {"channel": "docs:plan"}})
    found = await node.search()
    assert [(item["action"], item["decision"]) for item in found] == [
        ("client.connect", "granted"),
        ("channel.presence", "denied"),
    ]
    assert {item["user"] for item in found} == {"ann"}


async def test_without_it_handlers_are_as_they_were(open_audited: Any) -> None:
    node = await open_audited()
    handlers = node.world.node._make_handlers()
    assert node.world.node.audit.watch(handlers, ()) == handlers


async def test_what_a_user_changes_over_rpc_is_its_own_deed(node: Any) -> None:
    client = node.world.connected("ann")
    words = [{"category": "news", "route": "email", "enabled": False}]
    client.send({"id": 2, "rpc": {"method": "preferences.set", "data": {"preferences": words}}})
    await client.node.tasks.drain(30)
    (reply,) = client.read()
    assert "rpc" in reply
    (item,) = await node.search(action="preferences.set")
    assert (item["actor"], item["user"], item["address"]) == ("user:ann", "ann", ADDRESS)
    assert item["correlation_id"] == client.session.client.id
    assert item["details"] == {"news/email": False}


async def test_a_call_with_a_wrong_key_is_told(node: Any) -> None:
    answer = await node.api.post("publish", {}, {"X-API-Key": "guessed", "X-Request-Id": "req-7"})
    assert answer.status_code == 401
    (item,) = await node.search()
    told = {name: item[name] for name in ("action", "resource", "decision", "actor", "rule", "correlation_id")}
    assert told == {
        "action": "api.call",
        "resource": "api:publish",
        "decision": "denied",
        "actor": "unknown",
        "rule": "http_api.keys",
        "correlation_id": "req-7",
    }


async def test_calls_that_change_what_is_not_in_the_store_are_told(node: Any) -> None:
    calls = {
        "subscribe": {"user": "ann", "channel": "docs:plan", "client": "c1"},
        "unsubscribe": {"user": "ann", "channel": "docs:plan"},
        "disconnect": {"user": "ann"},
        "refresh": {"user": "ann", "expired": True},
        "history_remove": {"channel": "docs:plan"},
        "block_user": {"user": "ann"},
        "unblock_user": {"user": "ann"},
        "revoke_token": {"uid": "token-1", "expire_at": 4102444800},
        "invalidate_user_tokens": {"user": "ann", "channel": "docs:plan"},
    }
    for name, request in calls.items():
        await node.api.result(name, **request)
    assert await node.api.error("shed", node="nobody", share=0.5, spread_s=1) == (104, "node not found")
    assert {*calls, "shed"} == set(CHANGES)
    assert [(item["action"], item["decision"], item.get("resource"), item.get("user")) for item in await node.search()] == [
        ("user.subscribed", "changed", "channel:docs:plan", "ann"),
        ("user.unsubscribed", "changed", "channel:docs:plan", "ann"),
        ("user.disconnected", "changed", None, "ann"),
        ("user.refreshed", "changed", None, "ann"),
        ("history.removed", "changed", "channel:docs:plan", None),
        ("user.blocked", "changed", None, "ann"),
        ("user.unblocked", "changed", None, "ann"),
        ("token.revoked", "changed", "token:token-1", None),
        ("user.tokens_invalidated", "changed", "channel:docs:plan", "ann"),
        ("node.shed", "changed", "node:nobody", None),
        ("node.shed", "failed", "node:nobody", None),
    ]
    details = {item["action"]: item.get("details") for item in await node.search()}
    assert details["token.revoked"] == {"until": 4102444800}
    assert not details["user.blocked"] and not details["user.tokens_invalidated"], "no moment was named"


async def test_the_api_says_whether_the_chain_is_whole(node: Any) -> None:
    await node.api.result("block_user", user="ann")
    whole = await node.api.result("audit_verify")
    assert (whole["whole"], whole["records"], whole["problems"]) == (True, 1, [])
    assert (await node.api.result("audit_verify", anchor=whole["head"]))["whole"]
    assert (await node.api.error("audit_verify", anchor="7"))[0] == 107
    assert node.store.audit.statistics().verified_whole


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        ({"limit": 1001}, "limit"),
        ({"from": -1}, "from"),
        ({"from": 9, "to": 8}, "to"),
        ({"actor": "robot:x"}, "actor"),
        ({"decision": "perhaps"}, "decision"),
        ({"action": "*.x"}, "action"),
        ({"cursor": "next"}, "cursor"),
        ({"since": 1}, "since"),
    ],
)
async def test_a_question_that_breaks_a_rule_names_the_field(node: Any, request_: dict[str, Any], field: str) -> None:
    code, message = await node.api.error("audit_search", **request_)
    assert code == 107
    assert f"{field}:" in message
