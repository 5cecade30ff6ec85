"""One frame per client and turn, order kept, slow and unfit clients dealt with alone."""

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from broker.model import Publication, PublishOptions
from gateway.protocol import disconnects

OPEN = {"without_namespace": {"allow_subscribe_for_client": True, "allow_publish_for_client": True}}
NOT_KEPT = PublishOptions()


def entered(world, *channels):
    client = world.connected("1")
    for channel in channels:
        client.send({"id": 2, "subscribe": {"channel": channel}})
    client.read()
    return client


async def publish(world, channel, data):
    await world.engine.pubsub.publish(channel, Publication(data), NOT_KEPT)


async def test_publications_of_one_turn_share_a_frame(world):
    world = world(channel=OPEN)
    client = entered(world, "a")
    for number in range(16):
        await publish(world, "a", b"%d" % number)
    messages = client.read()
    assert len(client.frames) == 1
    assert [entry["push"]["pub"]["data"] for entry in messages] == list(range(16))


async def test_publications_of_several_rooms_and_a_reply_share_a_frame(world):
    world = world(channel=OPEN)
    client = entered(world, "a", "b")
    await publish(world, "a", b"1")
    await publish(world, "b", b"2")
    client.session.receive(b'{"id":7,"unsubscribe":{"channel":"c"}}')
    await publish(world, "a", b"3")
    messages = client.read()
    assert len(client.frames) == 1
    pushed = [(entry["push"]["channel"], entry["push"]["pub"]["data"]) for entry in messages if "push" in entry]
    assert sorted(pushed) == [("a", 1), ("a", 3), ("b", 2)]
    assert [data for channel, data in pushed if channel == "a"] == [1, 3]


async def test_members_of_one_room_share_the_frame_object(world):
    world = world(channel=OPEN)
    one, two = entered(world, "a"), entered(world, "a")
    seen = []
    for client in (one, two):
        client.session.client.write = seen.append
    await publish(world, "a", b"1")
    world.node.turn.flush()
    assert seen[0] is seen[1]


async def test_frames_stay_small_unless_a_message_is_large(world):
    world = world(channel=OPEN)
    client = entered(world, "a")
    large = b'"' + b"x" * 70_000 + b'"'
    for data in [b'"' + b"y" * 30_000 + b'"'] * 3 + [large] + [b"1"] * 3:
        await publish(world, "a", data)
    messages = client.read()
    assert [len(frame) for frame in client.frames] == [2, 1, 1, 3]
    assert len(messages) == 7


async def test_a_payload_that_is_no_json_ends_json_clients_only(world):
    world = world(channel=OPEN)
    client, bystander = entered(world, "a"), entered(world, "b")
    await publish(world, "a", b"\x00\x01")
    client.read()
    assert client.closed == (3506, "inappropriate protocol")
    assert bystander.closed is None
    assert world.node.hub.channels() == {"#1": 1, "b": 1}


async def test_a_slow_client_is_ended_without_what_waits(world):
    world = world(channel=OPEN)
    client = entered(world, "a")
    await publish(world, "a", b"1")
    client.session.client.disconnect(disconnects.SLOW)
    assert client.read() == []
    assert client.closed == (3008, "slow")


async def test_what_was_queued_goes_out_before_a_disconnect(world):
    world = world(channel=OPEN)
    client = entered(world, "a")
    await publish(world, "a", b"1")
    client.session.client.disconnect(disconnects.FORCE_DISCONNECT)
    assert [entry["push"]["pub"]["data"] for entry in client.read()] == [1]


class Rooms(RuleBasedStateMachine):
    """Whatever the order of joins, leaves, publications and turns: each member gets exactly what came while it was in."""

    make_world = None
    channels = st.sampled_from("ab")
    numbers = st.integers(0, 2)

    def __init__(self):
        super().__init__()
        self.world = type(self).make_world(channel=OPEN)
        self.clients = [self.world.connected(str(number)) for number in range(3)]
        for client in self.clients:
            client.read()
        self.owed = [[] for _ in self.clients]
        self.got = [[] for _ in self.clients]
        self.inside = set()
        self.sent = 0

    @rule(number=numbers, channel=channels)
    def join(self, number, channel):
        self.clients[number].session.receive(b'{"id":2,"subscribe":{"channel":"%b"}}' % channel.encode())
        self.inside.add((number, channel))

    @rule(number=numbers, channel=channels)
    def leave(self, number, channel):
        self.clients[number].session.receive(b'{"id":2,"unsubscribe":{"channel":"%b"}}' % channel.encode())
        self.inside.discard((number, channel))

    @rule(channel=channels)
    def publish(self, channel):
        self.sent += 1
        coroutine = self.world.engine.pubsub.publish(channel, Publication(b"%d" % self.sent), NOT_KEPT)
        try:
            coroutine.send(None)
        except StopIteration:
            pass
        for number, owed in enumerate(self.owed):
            if (number, channel) in self.inside:
                owed.append((channel, self.sent))

    @rule()
    def turn(self):
        for client, got in zip(self.clients, self.got, strict=True):
            for entry in client.read():
                if "push" in entry:
                    got.append((entry["push"]["channel"], entry["push"]["pub"]["data"]))

    @invariant()
    def counts_agree(self):
        assert self.world.node.hub.statistics().subscriptions == len(self.inside) + 3  # and the personal channels

    def teardown(self):
        self.turn()
        for owed, got in zip(self.owed, self.got, strict=True):
            for channel in "ab":
                assert [entry for entry in got if entry[0] == channel] == [entry for entry in owed if entry[0] == channel]


def test_rooms_deliver_what_is_owed(world):
    import asyncio

    class Machine(Rooms):
        make_world = staticmethod(world)

    async def run():
        limits = settings(max_examples=60, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck))
        run_state_machine_as_test(Machine, settings=limits)

    asyncio.run(run())
