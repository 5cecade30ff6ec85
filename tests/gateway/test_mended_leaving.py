"""Who leaves, in what order who is told of it, and what an engine that is away may keep undone."""

import asyncio

import pytest
import structlog

from broker.control import Refresh, Selector, Subscribe, Unsubscribe
from broker.errors import EngineUnavailable

WHO = Selector("42")
OPTIONS = {
    "allow_subscribe_for_client": True,
    "presence": True,
    "join_leave": True,
    "force_push_join_leave": True,
    "allow_presence_for_client": True,
}
OPEN = {"without_namespace": OPTIONS}


async def turns():
    for _ in range(10):
        await asyncio.sleep(0)


class Held:
    """Stands before a method of an engine, and lets calls through when told; or fails them."""

    def __init__(self, engine_part, name, *, fails=False):
        self.inner, self.gate, self.fails = getattr(engine_part, name), asyncio.Event(), fails
        setattr(engine_part, name, self)
        self.calls = []

    async def __call__(self, *args):
        self.calls.append(args)
        if self.fails:
            raise EngineUnavailable("engine")
        await self.gate.wait()
        await self.inner(*args)


async def test_draining_a_room_of_members_that_hear_of_each_other_is_linear(world):
    world = world(channel=OPEN)
    clients = []
    for number in range(600):
        client = world.client()
        client.session.receive(b'{"id":1,"connect":{"token":"%b"}}' % world.token(str(number)).encode())
        client.session.receive(b'{"id":2,"subscribe":{"channel":"a"}}')
        clients.append(client)
    client.read()
    before = world.node.turn.messages_written
    draining = asyncio.create_task(world.node.drain(5))
    await asyncio.sleep(0)
    assert 0 < sum(client.closed is not None for client in clients) < len(clients), "the loop gets to breathe"
    await turns()
    assert {client.closed for client in clients} == {(3001, "shutdown")}
    assert world.node.turn.messages_written == before
    for client in clients:
        client.vanish()
    await world.clock.advance(1)
    await draining
    assert (await world.engine.presence.stats("a")).clients == 0
    assert await world.engine.users.online(frozenset({"1", "599"})) == frozenset()


async def test_a_connect_under_way_does_not_survive_the_drain(world):
    world = world()
    held = Held(world.engine.users, "connected")
    client = world.client()
    client.send({"id": 1, "connect": {"token": world.token()}})
    draining = asyncio.create_task(world.node.drain(1))
    await turns()
    assert client.closed == (3001, "shutdown")
    held.gate.set()
    await turns()
    assert client.read() == []
    assert world.node.hub.statistics().clients == 0
    client.vanish()
    await world.clock.advance(1)
    await draining


async def test_unsubscribing_tells_the_client_in_the_turn_that_takes_it_out(world):
    world = world(channel=OPEN)
    client, other = world.connected(), world.connected("other")
    for entry in (client, other):
        entry.send({"id": 2, "subscribe": {"channel": "a"}})
    client.read()
    Held(world.engine.presence, "remove")
    assert client.send({"id": 3, "unsubscribe": {"channel": "a"}}) == [{"id": 3, "unsubscribe": {}}]
    await asyncio.sleep(0)
    other.read()
    asyncio.ensure_future(world.engine.control.send(Unsubscribe(Selector("other"), "a")))  # noqa: RUF006 (waits for ever)
    await turns()
    assert other.read() == [{"push": {"channel": "a", "unsubscribe": {"code": 2000, "reason": "server unsubscribe"}}}]


async def test_coming_back_while_the_leaving_is_told(world):
    world = world(channel=OPEN)
    client = world.connected()
    client.send({"id": 2, "subscribe": {"channel": "a"}})
    held = Held(world.engine.presence, "remove")
    leaving = asyncio.create_task(world.engine.control.send(Unsubscribe(WHO, "a")))
    await turns()
    await world.engine.control.send(Subscribe(WHO, "a"))
    held.gate.set()
    await leaving
    pushes = [next(key for key in message["push"] if key != "channel") for message in client.read()]
    assert [push for push in pushes if "subscribe" in push] == ["unsubscribe", "subscribe"]
    assert list(await world.engine.presence.members("a")) == [client.session.client.id]


@pytest.mark.parametrize("part", ["users.disconnected", "presence.remove", "pubsub.publish_membership"])
async def test_an_engine_that_is_away_keeps_nobody_in_a_room(world, part):
    world = world(channel=OPEN)
    client = world.connected()
    client.send({"id": 2, "subscribe": {"channel": "a"}}, {"id": 3, "subscribe": {"channel": "b"}})
    engine_part, name = part.split(".")
    Held(getattr(world.engine, engine_part), name, fails=True)
    with structlog.testing.capture_logs() as logs:
        client.vanish()
        await turns()
    statistics = world.node.hub.statistics()
    assert (statistics.rooms, statistics.subscriptions) == (0, 0)
    assert [entry["event"] for entry in logs] == ["membership.not_told"]
    if name != "remove":
        assert (await world.engine.presence.stats("b")).clients == 0


@pytest.mark.parametrize("part", ["presence.remove", "pubsub.publish_membership"])
async def test_a_command_is_answered_once_when_the_others_cannot_be_told(world, part):
    world = world(channel=OPEN)
    client = world.connected()
    engine_part, name = part.split(".")
    Held(getattr(world.engine, engine_part), name, fails=True)
    assert client.send({"id": 2, "subscribe": {"channel": "a"}})[0]["id"] == 2
    client.read()
    assert client.send({"id": 3, "unsubscribe": {"channel": "a"}}) == [{"id": 3, "unsubscribe": {}}]


async def test_a_connect_that_fails_leaves_nothing_though_the_engine_is_away(world):
    world = world(channel=OPEN)
    for name in ("connected", "disconnected"):
        Held(world.engine.users, name, fails=True)
    Held(world.engine.presence, "remove", fails=True)
    client = world.client()
    (reply,) = client.send({"id": 1, "connect": {"token": world.token(channels=["a", "b", "c"])}})
    assert reply["error"]["code"] == 100
    assert world.node.hub.statistics().rooms == 0
    assert client.session.client.subscribing == set()


async def test_a_subscribe_that_is_cancelled_leaves_nothing(world):
    world = world(channel=OPEN)
    client = world.connected()
    Held(world.engine.presence, "add")
    client.send({"id": 2, "subscribe": {"channel": "a"}})
    assert world.node.hub.room("a") is not None
    await world.node.tasks.drain(0)
    assert world.node.hub.room("a") is None


async def test_whoever_left_meanwhile_is_not_announced(world):
    world = world(channel=OPEN)
    held = Held(world.engine.pubsub, "publish_membership")
    client = world.client()
    client.send({"id": 1, "connect": {"token": world.token(channels=["a", "b"])}})
    client.vanish()
    held.gate.set()
    await turns()
    assert [(type(message).__name__, channel) for channel, message in held.calls if channel == "b"] == [("Leave", "b")]


async def test_the_connection_limit_holds_for_those_who_come_together(world):
    world = world(client={"user_connection_limit": 2})
    held = Held(world.engine.users, "connected")
    clients = [world.client() for _ in range(4)]
    for client in clients:
        client.send({"id": 1, "connect": {"token": world.token()}})
    held.gate.set()
    await turns()
    assert [client.closed for client in clients] == [None, None, (3504, "connection limit"), (3504, "connection limit")]


async def test_the_api_does_not_subscribe_beyond_the_channel_limit(world):
    world = world(client={"channel_limit": 3})  # one is the personal channel
    client = world.connected()
    for number in range(2):
        await world.engine.control.send(Subscribe(WHO, f"c{number}"))
    assert client.closed is None
    await world.engine.control.send(Subscribe(WHO, "c1"))
    assert client.closed is None, "it is there already"
    await world.engine.control.send(Subscribe(WHO, "c2"))
    assert client.closed == (3505, "channel limit")


@pytest.mark.parametrize("expire_at", [-5, 1])
async def test_a_refresh_to_a_past_moment_ends_the_connection(world, expire_at):
    world = world()
    client = world.connected()
    await world.engine.control.send(Refresh(WHO, expire_at=expire_at))
    assert client.closed == (3005, "connection expired")


class Infos:
    """What others know of a client, from presence and from its leaving."""

    def __init__(self, world):
        self.world = world
        self.client, self.other = world.connected(info={"name": "old"}), world.connected("other")
        self.other.send({"id": 2, "subscribe": {"channel": "a"}})

    async def now(self):
        members = await self.world.engine.presence.members("a")
        info = members[self.client.session.client.id]
        return info.conn_info, info.chan_info

    def at_leaving(self):
        self.other.read()
        self.client.send({"id": 9, "unsubscribe": {"channel": "a"}})
        (message,) = self.other.read()
        info = message["push"]["leave"]["info"]
        return info.get("conn_info"), info.get("chan_info")


async def test_a_refresh_with_new_info_renews_presence(world):
    world = world(channel=OPEN)
    infos = Infos(world)
    infos.client.send({"id": 2, "subscribe": {"channel": "a"}})
    infos.client.send({"id": 3, "refresh": {"token": world.token(info={"name": "new"})}})
    assert await infos.now() == (b'{"name": "new"}', b"") or await infos.now() == (b'{"name":"new"}', b"")
    assert infos.at_leaving() == ({"name": "new"}, None)


async def test_so_does_one_by_the_api(world):
    world = world(channel=OPEN)
    infos = Infos(world)
    infos.client.send({"id": 2, "subscribe": {"channel": "a"}})
    await world.engine.control.send(Refresh(WHO, info=b'"new"'))
    assert await infos.now() == (b'"new"', b"")
    assert infos.at_leaving() == ("new", None)


async def test_so_does_one_of_the_subscription(world):
    world = world(channel=OPEN)
    infos = Infos(world)
    infos.client.send({"id": 2, "subscribe": {"channel": "a", "token": world.token(channel="a", info=1)}})
    infos.client.send({"id": 3, "sub_refresh": {"channel": "a", "token": world.token(channel="a", info=2)}})
    assert (await infos.now())[1] == b"2"
    assert infos.at_leaving()[1] == 2


async def test_whoever_leaves_while_presence_is_renewed_is_not_left_there(world):
    world = world(channel=OPEN)
    client = world.connected()
    client.send({"id": 2, "subscribe": {"channel": "a"}})
    held = Held(world.engine.presence, "add")
    refreshing = asyncio.create_task(world.engine.control.send(Refresh(WHO, info=b'"new"')))
    await turns()
    client.vanish()
    held.gate.set()
    await refreshing
    assert (await world.engine.presence.stats("a")).clients == 0
