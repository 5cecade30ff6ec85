"""The API method `shed`: what it asks for, what it answers, what it refuses."""

import pytest

from config.clock import settle


async def test_tells_the_nodes_that_were_asked_and_how_many_they_send_away(world, api):
    world = world(node={"name": "gateway-1"})
    clients = [world.connected(str(number)) for number in range(15)]
    result = await api(world).result("shed", share=0.1, spread_s=0)
    assert result == {"nodes": [{"uid": world.node.uid, "name": "gateway-1", "num_clients": 2}]}
    await settle()
    assert sum(client.closed == (3011, "force reconnect") for client in clients) == 2


async def test_a_node_that_is_not_there(world, api):
    assert await api(world()).error("shed", share=0.5, node="nobody") == (104, "node not found")


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        ({}, "share: must be given"),
        ({"share": 0}, "share: must be a number that is above 0.0"),
        ({"share": 1.5}, "share: must be a number that is at most 1.0"),
        ({"share": "all"}, "share: must be a number"),
        ({"share": 0.1, "spread_s": -1}, "spread_s: must be a number that is at least 0.0"),
        ({"share": 0.1, "user": "x"}, "user: unknown field"),
    ],
)
async def test_bad_requests_name_the_field(world, api, request_, message):
    code, text = await api(world()).error("shed", **request_)
    assert code == 107
    assert message in text
