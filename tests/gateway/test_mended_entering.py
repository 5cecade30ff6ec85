"""Entering a room that is filling a gap: what it holds back must not come twice."""

import asyncio

import pytest

from broker.channels import publish_options
from broker.errors import EngineUnavailable
from broker.model import Publication

STREAM = {
    "without_namespace": {
        "allow_subscribe_for_client": True,
        "history_size": 10,
        "history_ttl": "60s",
        "force_recovery": True,
    }
}


class Scene:
    """A room with one member, whose stream goes on while the first read of history from now on is held."""

    def __init__(self, world):
        self.world, self.loses, self.is_away = world, False, False
        world.engine.pubsub.on_message(self._deliver)
        self.member = world.connected("1")
        self.member.send({"id": 2, "subscribe": {"channel": "a"}})
        self._read, self.gate, self._is_first = world.engine.history.read, asyncio.Event(), True
        world.node.positions._history = self  # only the node's own reads wait

    def _deliver(self, channel, message):
        if not self.loses:
            self.world.node.deliver(channel, message)

    async def read(self, *args, **options):
        await self.gate.wait()
        if self.is_away:
            raise EngineUnavailable("away")
        return await self._read(*args, **options)

    async def publish(self, number, *, lost=False):
        self.loses = lost
        kept = publish_options(self.world.node.rules.options("a"))
        await self.world.engine.pubsub.publish("a", Publication(b"%d" % number), kept)


async def turns():
    for _ in range(20):
        await asyncio.sleep(0)


def offsets(messages):
    found = []
    for message in messages:
        if "subscribe" in message:
            found += [message["subscribe"]["offset"]]
            found += [publication["offset"] for publication in message["subscribe"].get("publications", ())]
        elif "pub" in message.get("push", {}):
            found.append(message["push"]["pub"]["offset"])
    return found


@pytest.mark.parametrize("recover", [{}, {"recover": True, "offset": 1}])
async def test_whoever_enters_while_a_gap_is_filled_gets_each_once(world, recover):
    scene = Scene(world(channel=STREAM))
    await scene.publish(1)
    await scene.publish(2, lost=True)
    await scene.publish(3)
    client = scene.world.connected("2")
    got = client.send({"id": 2, "subscribe": {"channel": "a", **recover}})
    scene.gate.set()
    await turns()
    got += client.read()
    await scene.publish(4)
    got += client.read()
    assert client.closed is None
    assert offsets(got) == ([1, 2, 3, 4] if recover else [3, 4])
    assert offsets(scene.member.read()) == [1, 2, 3, 4]


async def test_whoever_does_so_with_its_connect(world):
    scene = Scene(world(channel=STREAM))
    await scene.publish(1)
    await scene.publish(2, lost=True)
    await scene.publish(3)
    client = scene.world.client()
    client.send({"id": 1, "connect": {"token": scene.world.token("2", channels=["a"])}})
    scene.gate.set()
    await turns()
    connected, *pushes = client.read()
    assert connected["connect"]["subs"]["a"]["offset"] == 3
    assert offsets(pushes) == []


async def test_nobody_waits_for_an_engine_that_is_away(world):
    """Contract: subscribe answers within seconds; here the first read still came through, and that of the gap did not."""
    scene = Scene(world(channel=STREAM))
    await scene.publish(1)
    await scene.publish(2, lost=True)
    await scene.publish(3)
    client = scene.world.connected("2")
    assert client.send({"id": 2, "subscribe": {"channel": "a"}}) == []
    scene.is_away = True
    scene.gate.set()
    await turns()
    assert client.read() == [{"id": 2, "error": {"code": 100, "message": "internal server error", "temporary": True}}]
    scene.is_away = False
    scene.world.pass_time(2)
    await turns()
    assert offsets(scene.member.read()) == [1, 2, 3]
    assert offsets(client.send({"id": 3, "subscribe": {"channel": "a"}})) == [3]


async def test_one_that_leaves_while_it_waits(world):
    scene = Scene(world(channel=STREAM))
    await scene.publish(1)
    await scene.publish(2, lost=True)
    await scene.publish(3)
    client = scene.world.connected("2")
    client.send({"id": 2, "subscribe": {"channel": "a"}})
    client.vanish()
    scene.gate.set()
    await turns()
    assert scene.world.node.hub.room("a").entering == {}
    assert offsets(scene.member.read()) == [1, 2, 3]


async def test_whoever_has_read_more_than_the_room_has_heard_gets_it_once(world):
    scene = Scene(world(channel=STREAM))
    await scene.publish(1)
    late = []
    scene.world.engine.pubsub.on_message(lambda channel, message: late.append((channel, message)))
    await scene.publish(2)
    scene.gate.set()
    client = scene.world.connected("2")
    got = client.send({"id": 2, "subscribe": {"channel": "a"}})
    await turns()
    for channel, message in late:
        scene.world.node.deliver(channel, message)
    scene.world.engine.pubsub.on_message(scene._deliver)
    await scene.publish(3)
    got += client.read()
    assert offsets(got) == [2, 3]
    assert offsets(scene.member.read()) == [1, 2, 3]


async def test_a_room_that_missed_something_while_only_somebody_entered_begins_anew(world):
    scene = Scene(world(channel=STREAM))
    scene.member.vanish()
    scene.gate.set()
    linked, subscribe = asyncio.Event(), scene.world.engine.pubsub.subscribe

    async def slow(channel):
        if channel == "a":
            await linked.wait()
        await subscribe(channel)

    scene.world.engine.pubsub.subscribe = slow
    client = scene.world.connected("2")
    client.send({"id": 2, "subscribe": {"channel": "a"}})
    await scene.publish(1, lost=True)
    # What is under way when a channel is let go may still arrive, and then the next one does not.
    kept = scene.world.engine.history.read
    scene.world.node.deliver("a", (await kept("a", since=None, limit=1)).publications[0])
    await scene.publish(2, lost=True)
    linked.set()
    await turns()
    await scene.publish(3)
    await turns()
    assert offsets(client.read()) == [2, 3]


class Late:
    """A world whose pub/sub brings nothing before `bring`, and whose reads of channels that begin with "slow" wait."""

    def __init__(self, world):
        self.world, self.gates, self.under_way = world, {}, []
        world.engine.pubsub.on_message(lambda *message: self.under_way.append(message))
        self._read = world.engine.history.read
        world.node.entrances._history = self

    async def read(self, channel, **asked):
        if channel.startswith("slow"):
            await self.gates.setdefault(channel, asyncio.Event()).wait()
        return await self._read(channel, **asked)

    async def publish(self, *numbers):
        kept = publish_options(self.world.node.rules.options("a"))
        for number in numbers:
            await self.world.engine.pubsub.publish("a", Publication(b"%d" % number), kept)

    def bring(self):
        for channel, message in self.under_way:
            self.world.node.deliver(channel, message)
        self.under_way.clear()

    def connect(self, user, *channels, **sub):
        client = self.world.client()
        request = {"token": self.world.token(user, channels=channels), "subs": {"a": sub} if sub else {}}
        client.send({"id": 1, "connect": request})
        return client

    async def let_in(self, client, channel):
        """Answer the read that a client waits for; gives what it is told of `a` with its connect reply, and later."""
        self.gates[channel].set()
        await turns()
        reply, *pushes = client.read()
        told = reply["connect"]["subs"]["a"]
        return [told["offset"], *(entry["offset"] for entry in told.get("publications", ())), *offsets(pushes)]


@pytest.mark.parametrize("sub", [{}, {"recover": True, "offset": 1}])
async def test_one_that_has_read_less_than_somebody_who_entered_meanwhile(world, sub):
    """The room stands where the second one does; the first would never get what lies between."""
    late = Late(world(channel=STREAM))
    await late.publish(1)
    first = late.connect("1", "a", "slow", **sub)
    await late.publish(2)
    second = late.connect("2", "a")
    assert second.read() == []
    assert second.node.hub.room("a").position.offset == 2
    assert await late.let_in(first, "slow") == ([1, 2] if sub else [2])
    await late.publish(3)
    late.bring()
    assert offsets(first.read()) == [3]
    assert offsets(second.read()) == [3]


async def test_one_that_has_read_more_than_somebody_who_entered_meanwhile(world):
    """The room stands where the first one does; the second would get twice what it has read already."""
    late = Late(world(channel=STREAM))
    await late.publish(1)
    first = late.connect("1", "a", "slow-1")
    await late.publish(2)
    second = late.connect("2", "a", "slow-2")
    assert await late.let_in(first, "slow-1") == [1]
    assert await late.let_in(second, "slow-2") == [2]
    await late.publish(3)
    late.bring()
    assert offsets(first.read()) == [2, 3]
    assert offsets(second.read()) == [3]


async def test_a_room_that_somebody_led_ahead_and_left_begins_anew(world):
    late = Late(world(channel=STREAM))
    await late.publish(1)
    first = late.connect("1", "a", "slow")
    await late.publish(2)
    late.connect("2", "a").vanish()
    assert await late.let_in(first, "slow") == [1]
    late.bring()
    assert offsets(first.read()) == [2]
