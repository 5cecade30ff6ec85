"""The HTTP side beside the API: health, metrics, and what is not there."""

import pytest
from prometheus_client import REGISTRY

from gateway.metrics import NodeCollector
from gateway.tallies import CallTally


async def get(api, path, method="GET"):
    return await api.http.request(method, path)


async def test_health_says_ok_until_the_node_drains(world, api):
    world = world(health={"enabled": True})
    opened = api(world)
    response = await get(opened, "/health")
    assert (response.status_code, response.json()) == (200, {})
    world.node.readiness.is_ending = True
    assert (await get(opened, "/health")).status_code == 200, "draining is no reason to be restarted"


async def test_metrics_tell_the_nodes_counts(world, api):
    world = world(prometheus={"enabled": True})
    client = world.connected()
    world.connected().vanish()
    client.read()
    collector = NodeCollector(world.node, CallTally())
    REGISTRY.register(collector)
    try:
        response = await get(api(world), "/metrics")
    finally:
        REGISTRY.unregister(collector)
    assert response.headers["content-type"].startswith("text/plain")
    lines = response.text.splitlines()
    for line in (
        "heliograph_clients 1.0",
        "heliograph_users 1.0",
        'heliograph_disconnects_total{class="user",code="3000"} 1.0',
        'heliograph_commands_total{command="connect"} 2.0',
        "heliograph_engine_topics 1.0",
        'heliograph_dependency_away{dependency="engine"} 0.0',
    ):
        assert line in lines


@pytest.mark.parametrize("path", ["/health", "/metrics", "/", "/connection", "/api", "/nothing"])
async def test_what_is_off_or_not_there_is_404(world, api, path):
    assert (await get(api(world()), path)).status_code == 404


async def test_the_websocket_address_wants_an_upgrade(world, api):
    response = await get(api(world()), "/connection/websocket")
    assert (response.status_code, response.headers["upgrade"]) == (426, "websocket")
