"""Who is in the fleet, and how seldom it is asked; frames for clients that another node holds."""

import asyncio
import json

import pytest

from broker.control import Emulate, NodeInfo
from broker.errors import EngineUnavailable
from config.clock import ManualClock
from gateway.neighbours import Neighbours
from gateway.node import Node


def node_info(uid):
    return NodeInfo(uid, uid, "1.0", num_clients=0, num_users=0, num_channels=0, num_subs=0, uptime=1)


class Fleet:
    """Plays the port Control for a fleet that the test decides."""

    def __init__(self, *uids):
        self.uids, self.asked, self.sent, self.error = set(uids), 0, [], None

    def on_command(self, node):
        self.node = node

    async def send(self, command):
        self.sent.append(command)
        await self.node.perform(command)

    async def nodes(self):
        self.asked += 1
        await asyncio.sleep(0)
        if self.error is not None:
            raise self.error
        return [node_info(uid) for uid in self.uids]


async def test_who_is_there_is_asked_about_once():
    fleet = Fleet("a", "b")
    neighbours = Neighbours(fleet, ManualClock())
    assert await asyncio.gather(*(neighbours.knows(uid) for uid in "abab")) == [True] * 4
    assert fleet.asked == 1


async def test_names_that_nobody_bears_are_asked_about_once_a_second():
    fleet, clock = Fleet("a"), ManualClock()
    neighbours = Neighbours(fleet, clock)
    assert not any([await neighbours.knows(f"nobody-{number}") for number in range(100)])
    assert fleet.asked == 1
    fleet.uids.add("new")
    clock.move(1)
    assert await neighbours.knows("new")
    assert fleet.asked == 2


async def test_who_has_gone_is_forgotten():
    fleet, clock = Fleet("a"), ManualClock()
    neighbours = Neighbours(fleet, clock)
    assert await neighbours.knows("a")
    fleet.uids.clear()
    clock.move(31)
    assert not await neighbours.knows("a")


@pytest.fixture
def scene(world, api):
    """A node with another one beside it, and its HTTP side."""

    class Scene:
        def __init__(self):
            self.world, self.fleet = world(sse={"enabled": True}), Fleet("other")
            made = self.world
            made.engine.control = self.fleet
            made.node = Node(made.settings, made.engine, made.clock, version="test", rpc_methods={})
            self.http = api(made).http

        async def post(self, **changes):
            body = {"node": "other", "session": "s", "data": '{"id":2}', **changes}
            return (await self.http.post("/emulation", content=json.dumps(body))).status_code

    return Scene()


async def test_a_frame_for_another_node_is_handed_on_as_it_is(scene):
    assert await scene.post() == 204
    assert scene.fleet.sent == [Emulate("other", "s", b'"{\\"id\\":2}"')]


async def test_a_frame_for_a_node_that_is_not_there_is_404(scene):
    assert await scene.post(node="nobody") == 404
    assert scene.fleet.sent == []


async def test_a_fleet_that_cannot_be_asked_is_503(scene):
    scene.fleet.error = EngineUnavailable("engine")
    assert await scene.post() == 503


@pytest.mark.parametrize("data", [b'{"not":"text"}', b"nonsense", b"\xff"])
async def test_what_another_node_handed_on_and_cannot_be_read_harms_nobody(scene, data):
    node = scene.world.node
    client = scene.world.client()
    node.emulated["s"] = client.session
    await scene.fleet.send(Emulate(node.uid, "s", data))
    await scene.fleet.send(Emulate(node.uid, "gone", b'"{}"'))
    await scene.fleet.send(Emulate("other", "s", b'"{}"'))
    assert client.read() == []
    frame = json.dumps(json.dumps({"id": 1, "connect": {"token": scene.world.token()}})).encode()
    await scene.fleet.send(Emulate(node.uid, "s", frame))
    assert [message["id"] for message in client.read()] == [1]
