"""Overrides over the API: taken only with an end, in force on every node, seen in health and by those who are refused."""

import asyncio
import json

import httpx
import pytest

from broker.notification import Lane
from broker.overrides import InForce
from config.clock import settle
from gateway.admission import REFUSED
from gateway.api.call import Calls
from gateway.api.endpoint import ApiEndpoint
from gateway.api.method import table_of
from gateway.app import GatewayApp
from gateway.health_detail import HealthDetail
from gateway.notify.intake import intake_of
from gateway.notify.methods import notification_methods
from gateway.notify.service import NotificationService
from gateway.protocol import errors

GOOD = {"kind": "pause_lane", "target": "bulk", "expires_in_s": 60, "reason": "the sea is rough"}


@pytest.fixture
async def node(ruled):
    return await ruled()


async def test_what_is_said_is_listed_until_it_is_taken_back(node):
    said = await node.result("override_set", **GOOD)
    assert said["set_by"].startswith("api_key:")
    assert said["expires_at"] == said["set_at"] + 60
    assert {name: said[name] for name in ("kind", "target", "reason")} == {
        name: GOOD[name] for name in ("kind", "target", "reason")
    }
    assert (await node.result("override_list"))["items"] == [said]
    assert [one.target for one in node.rules.overrides.now.overrides] == ["bulk"]
    await node.result("override_remove", kind="pause_lane", target="bulk")
    assert (await node.result("override_list"))["items"] == []
    assert node.rules.overrides.now == InForce()
    assert await node.error("override_remove", kind="pause_lane", target="bulk") == (104, "override not found")
    assert await node.error("override_remove", kind="unheard_of") == (104, "override not found")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"expires_in_s": None}, "expires_in_s: must be given, or expires_at: an override ends by itself, at most 168h ahead"),
        ({"expires_in_s": 0}, "expires_in_s: must be above 0 and at most 168h ahead"),
        ({"expires_in_s": -5}, "expires_in_s: must be above 0"),
        ({"expires_in_s": 604_800.5}, "expires_in_s: must be above 0 and at most 168h"),
        ({"expires_in_s": 1e300}, "expires_in_s: must be above 0 and at most 168h"),
        ({"expires_in_s": "1h"}, "expires_in_s: must be "),
        ({"expires_in_s": 5, "expires_at": 1767225700}, "expires_at: must not be given beside expires_in_s"),
        ({"expires_in_s": None, "expires_at": 1767225600}, "expires_at: must lie ahead"),
        ({"expires_in_s": None, "expires_at": 1767225600 + 604_801}, "expires_at: must lie ahead, at most 168h"),
        ({"expires_in_s": None, "expires_at": -1}, "expires_at: must be a moment"),
        ({"expires_in_s": None, "expires_at": 1e18}, "expires_at: must be a moment"),
        ({"reason": ""}, "reason: must be 1 to 500 characters"),
        ({"reason": "  "}, "reason: must be 1 to 500 characters"),
        ({"reason": "two\nlines"}, "reason: must be 1 to 500 characters"),
        ({"reason": "x" * 501}, "reason: must be 1 to 500 characters"),
        ({"kind": "sleep"}, "kind: must be one of pause_lane, "),
        ({"target": "slow"}, "target: must be one of critical, high, normal, bulk"),
        ({"value": 7}, "value: must not be given"),
        ({"value": [7]}, "value: "),
        ({"until": 7}, "until: unknown field"),
    ],
)
async def test_what_is_wrong_is_refused_with_field_and_rule_and_nothing_changes(node, change, says):
    code, message = await node.error("override_set", **(GOOD | change))
    assert code == 107
    assert message.startswith(f"bad request: {says}"), message
    assert (await node.result("override_list"))["items"] == []


async def test_how_long_is_a_setting(ruled):
    node = await ruled(overrides={"longest": "1m"})
    await node.result("override_set", **GOOD)
    assert "at most 1m ahead" in (await node.error("override_set", **(GOOD | {"expires_in_s": 61})))[1]


async def test_other_nodes_obey_when_they_are_told(open_nodes):
    one, other = await open_nodes(2)
    hearing = asyncio.create_task(other.hear())
    await settle()
    await one.result("override_set", **(GOOD | {"kind": "refuse_connections", "target": ""}))
    await hearing
    assert one.node.admit() == other.node.admit()
    assert other.node.admit().reason == "override"


async def test_a_node_that_is_not_told_finds_it_within_a_second(open_nodes):
    one, other = await open_nodes(2)
    open_nodes.line.is_cut = True
    watching = asyncio.create_task(other.rules.run())
    await one.result("override_set", **GOOD)
    async with asyncio.timeout(30):  # ends a test that would hang
        while not other.rules.overrides.now.overrides:
            await other.world.clock.advance(0.25)
            await asyncio.sleep(0)  # the store answers from a thread of its own
            moved_s = other.world.clock.monotonic() - 1000.0
    watching.cancel()
    assert moved_s >= 1.0, "it looks once a second"


async def test_it_holds_after_a_restart(open_nodes):
    (before,) = await open_nodes(1)
    await before.result("override_set", **(GOOD | {"kind": "refuse_connections", "target": ""}))
    (after,) = await open_nodes(1)
    assert after.node.admit().reason == "override"


async def test_new_connections_are_refused_and_those_who_are_here_stay(node):
    client = node.world.connected("ann")
    await node.result("override_set", **(GOOD | {"kind": "refuse_connections", "target": ""}))
    denial = node.node.admit()
    assert (denial.status, denial.retry_after_s, denial.text) == (503, 60, REFUSED.text)
    assert client.closed is None
    assert node.node.admission.denied_by_reason["override"] == 1
    assert node.node.readiness.is_ready, "calls of the API must find a node"
    await node.result("override_remove", kind="refuse_connections")
    assert node.node.admit() is None


async def test_one_node_of_several_refuses_and_balancers_are_told(node):
    await node.result("override_set", **(GOOD | {"kind": "refuse_connections", "target": node.node.name}))
    assert node.node.admit().reason == "override"
    assert node.node.readiness.reasons() == ["refusing"]
    await node.result("override_remove", kind="refuse_connections", target=node.node.name)
    await node.result("override_set", **(GOOD | {"kind": "refuse_connections", "target": "another"}))
    assert node.node.admit() is None
    assert node.node.readiness.is_ready


async def test_whoever_is_refused_reads_what_operators_have_to_say(ruled):
    node = await ruled(client={"connection_limit": 1})
    await node.result("override_set", **(GOOD | {"kind": "maintenance", "target": "", "value": "back at ten – sorry"}))
    assert node.node.admit() is None
    node.world.connected("ann")
    assert node.node.admit().text == "back at ten – sorry\n"


async def test_the_limit_of_connections_is_raised_and_lowered(ruled):
    node = await ruled(client={"connection_limit": 1})
    node.world.connected("ann")
    assert node.node.admit().reason == "connections"
    await node.result("override_set", **(GOOD | {"kind": "connection_limit", "target": "", "value": 2}))
    assert node.node.admit() is None
    await node.result("override_remove", kind="connection_limit")
    assert node.node.admit().reason == "connections"


def ping_rate(client, count):
    """Send so many commands at once; tells how many were refused for their number, and whether the connection ended."""
    refused = 0
    for number in range(count):
        replies = client.send({"id": 100 + number, "history": {"channel": "x:x"}})
        refused += any(reply.get("error", {}).get("code") == errors.TOO_MANY_REQUESTS.code for reply in replies)
    return refused


async def test_the_rate_of_commands_changes_for_those_who_are_here_too(ruled):
    node = await ruled(client={"command_rate": {"per_s": 1000, "burst": 1000}})
    client = node.world.connected("ann")
    assert ping_rate(client, 50) == 0
    await node.result("override_set", **(GOOD | {"kind": "command_rate", "target": "", "value": 3}))
    assert ping_rate(client, 5) == 2
    later = node.world.connected("ben")
    assert ping_rate(later, 5) >= 2
    await node.result("override_remove", kind="command_rate")
    assert ping_rate(client, 50) == 0
    assert client.closed is None


async def test_it_ends_by_the_clock_without_anybody_telling(node):
    ending = asyncio.create_task(node.rules.overrides.run())
    await node.result("override_set", **(GOOD | {"kind": "refuse_connections", "target": ""}))
    await node.world.clock.advance(59.9)
    assert node.node.admit().retry_after_s == 60
    await node.world.clock.advance(0.1)
    assert node.node.admit() is None
    assert (await node.result("override_list"))["items"] == []
    ending.cancel()


@pytest.fixture
def notifying(node):
    """The same node's API, with methods about notifications."""
    intake = intake_of(lambda: node.rules.overrides.now, node.world.clock)
    store, settings = node.store, node.world.settings
    service = NotificationService(store.ledger, store.devices, store.preferences, settings.notifications, intake=intake)
    calls = Calls(table_of(notification_methods(service)), node.world.clock)
    app = GatewayApp(settings, node.node, ApiEndpoint(settings.http_api, calls))
    http = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://node")

    async def post(method, **body):
        return await http.post(f"/api/{method}", content=json.dumps(body), headers={"X-API-Key": "key-of-the-tests"})

    return post


async def test_in_only_critical_mode_others_are_told_when_to_come_back(node, notifying):
    await node.result("override_set", **(GOOD | {"kind": "only_critical", "target": "", "expires_in_s": 20}))
    for lane in Lane:
        answer = await notifying("notify", user="ann", title="Tide", priority=lane.name.lower())
        if lane is Lane.CRITICAL:
            assert answer.status_code == 200
            continue
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "20")
        assert answer.text == "only critical notifications are taken now, try again later\n"
    wrong = await notifying("notify", user="ann", title="Tide", priority="slow")
    assert wrong.json()["error"]["code"] == 107, "what is wrong is told as ever"
    await node.result("override_set", **(GOOD | {"kind": "maintenance", "target": "", "value": "back at ten"}))
    assert (await notifying("notify", user="ann", title="Tide")).text == "back at ten\n"
    batch = await notifying("batch", commands=[{"notify": {"user": "ann", "title": "Tide"}}])
    assert batch.json()["replies"] == [{"error": {"code": 100, "message": "internal server error"}}]
    await node.result("override_remove", kind="only_critical")
    assert (await notifying("notify", user="ann", title="Tide")).status_code == 200


class TestDetail:
    """`/health/detail`."""

    @pytest.fixture
    async def detailed(self, ruled):
        node = await ruled(health={"enabled": True})
        detail = HealthDetail(node.node.readiness, node.rules.overrides, node.world.clock, version="1.2.3")
        endpoint = ApiEndpoint(node.world.settings.http_api, Calls({}), keys=node.rules.keys)
        app = GatewayApp(node.world.settings, node.node, endpoint, detail=detail)
        node.detail = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://node")
        return node

    async def test_it_tells_of_overrides_to_whoever_has_a_key(self, detailed):
        await detailed.result("override_set", **(GOOD | {"kind": "maintenance", "target": "", "value": "back at ten"}))
        told = (await detailed.detail.get("/health/detail", headers={"X-API-Key": "key-of-the-tests"})).json()
        assert (told["state"], told["version"], told["maintenance"]) == ("ready", "1.2.3", "back at ten")
        assert [one["kind"] for one in told["overrides"]] == ["maintenance"]
        assert told["process"]["descriptors_used"] > 0

    @pytest.mark.parametrize("headers", [{}, {"X-API-Key": ""}, {"X-API-Key": "wrong"}, {"Authorization": "Bearer x"}])
    async def test_nobody_else_is_told(self, detailed, headers):
        answer = await detailed.detail.get("/health/detail", headers=headers)
        assert (answer.status_code, answer.text) == (401, "")

    async def test_a_key_that_may_do_other_things_only_is_not_told(self, detailed):
        made = await detailed.result("api_key_create", name="narrow", methods=["publish"])
        answer = await detailed.detail.get("/health/detail", headers={"X-API-Key": made["key"]})
        assert answer.status_code == 401
