"""Gaps are filled by the node, or told; silence is checked."""

from broker.model import Publication

STREAM = {
    "without_namespace": {
        "allow_subscribe_for_client": True,
        "history_size": 10,
        "history_ttl": "300s",
        "force_positioning": True,
    }
}


def entered(world, channel="a"):
    client = world.connected("1")
    client.send({"id": 2, "subscribe": {"channel": channel}})
    return client


class Lossy:
    """Publishes through the engine and loses, on the way to the node, what it is told to lose."""

    def __init__(self, world):
        self.world = world
        self.loses = False
        world.engine.pubsub.on_message(self._deliver)

    def _deliver(self, channel, message):
        if not self.loses:
            self.world.node.deliver(channel, message)

    async def publish(self, *numbers, lost=False, channel="a"):
        self.loses = lost
        from broker.channels import publish_options

        kept = publish_options(self.world.node.rules.options(channel))
        for number in numbers:
            await self.world.engine.pubsub.publish(channel, Publication(b"%d" % number), kept)


def data(messages):
    return [entry["push"]["pub"]["data"] for entry in messages if "pub" in entry.get("push", {})]


async def test_a_gap_is_filled_and_nobody_notices(world):
    world = world(channel=STREAM)
    lossy, client = Lossy(world), entered(world)
    await lossy.publish(1)
    await lossy.publish(2, 3, lost=True)
    await lossy.publish(4)
    assert data(client.read()) == [1, 2, 3, 4]
    assert client.closed is None


async def test_a_gap_that_history_cannot_fill_is_told(world):
    world = world(channel=STREAM)
    lossy, client = Lossy(world), entered(world)
    await lossy.publish(1)
    await lossy.publish(*range(2, 20), lost=True)
    await lossy.publish(20)
    messages = client.read()
    assert data(messages) == [1]
    assert messages[-1]["push"]["unsubscribe"] == {"code": 2500, "reason": "insufficient state"}
    assert client.closed is None
    assert "a" not in world.node.hub.channels()


async def test_a_server_side_subscription_ends_the_connection(world):
    world = world(channel=STREAM)
    lossy = Lossy(world)
    client = world.connected("7")
    await lossy.publish(1, channel="#7")
    await lossy.publish(*range(2, 20), lost=True, channel="#7")
    await lossy.publish(20, channel="#7")
    assert client.closed == (3010, "insufficient state")


async def test_another_epoch_is_told(world):
    world = world(channel=STREAM)
    lossy, client = Lossy(world), entered(world)
    await lossy.publish(1)
    client.read()
    world.node.deliver("a", Publication(b"1", offset=1, epoch="another"))
    assert client.read()[-1]["push"]["unsubscribe"]["code"] == 2500


async def test_what_is_known_already_is_passed_over(world):
    world = world(channel=STREAM)
    lossy, client = Lossy(world), entered(world)
    await lossy.publish(1, 2)
    epoch = world.node.hub.room("a").position.epoch
    world.node.deliver("a", Publication(b"1", offset=1, epoch=epoch))
    assert data(client.read()) == [1, 2]


async def test_silence_is_checked(world):
    world = world(channel=STREAM)
    lossy, client = Lossy(world), entered(world)
    world.node.start()
    world.node._pings = None
    await lossy.publish(1)
    await lossy.publish(2, 3, lost=True)
    assert data(client.read()) == [1]
    world.pass_time(60)
    assert data(client.read()) == [2, 3]
    world.node.stop()


async def test_what_was_lost_and_is_kept_no_more_is_told(world):
    """Also where nothing at all is kept: then nothing but the top tells that there was something."""
    world = world(channel=STREAM)
    lossy, client = Lossy(world), entered(world)
    await lossy.publish(1)
    await lossy.publish(2, 3, lost=True)
    await world.engine.history.remove("a")
    assert data(client.read()) == [1]
    world.node.positions.check_now()
    assert [message["push"]["unsubscribe"]["code"] for message in client.read()] == [2500]


async def test_a_stream_that_has_gone_back_is_told(world):
    """An engine that forgets part of a stream and keeps its epoch: what it gives out next would pass for known."""
    world = world(channel=STREAM)
    client = entered(world)
    position = (await world.engine.history.read("a", since=None, limit=0)).top
    world.node.deliver("a", Publication(b"1", 1, position.epoch))
    assert data(client.read()) == [1]
    world.node.positions.check_now()
    assert [message["push"]["unsubscribe"]["code"] for message in client.read()] == [2500]


async def test_a_check_that_the_engine_asks_for_does_not_wait_for_its_time(world):
    world = world(channel=STREAM)
    lossy, client = Lossy(world), entered(world)
    await lossy.publish(1)
    await lossy.publish(2, 3, lost=True)
    world.node.positions.check_now()
    assert data(client.read()) == [1, 2, 3]


async def test_every_room_is_checked_when_the_engine_asks_for_it(world):
    world = world(channel=STREAM, client={"channel_limit": 1000})
    lossy, client = Lossy(world), world.connected("1")
    channels = [f"ch{number}" for number in range(250)]
    for number, channel in enumerate(channels):
        client.send({"id": number + 2, "subscribe": {"channel": channel}})
        await lossy.publish(1, channel=channel)
        await lossy.publish(2, lost=True, channel=channel)
    client.read()
    world.node.positions.check_now()
    world.node.positions.check_now()
    await world.node.tasks.drain(5)
    missed = [entry["push"]["channel"] for entry in client.read() if entry.get("push", {}).get("pub", {}).get("data") == 2]
    assert sorted(missed) == sorted(channels)


async def test_unpositioned_subscribers_go_on(world):
    options = {**STREAM["without_namespace"], "force_positioning": False}
    world = world(channel={"without_namespace": options})
    lossy, client = Lossy(world), entered(world)
    await lossy.publish(1)
    await lossy.publish(2, lost=True)
    await lossy.publish(3)
    assert data(client.read()) == [1, 3]


def stream_of(lag, **options):
    return {
        "client": {"channel_position_max_time_lag": lag},
        "channel": {"without_namespace": {**STREAM["without_namespace"], **options}},
    }


def bring(world, offset, late_s, channel="a"):
    """Have the node hear of a publication that its engine took a while ago."""
    epoch = world.node.hub.room(channel).position.epoch
    time_ms = int((world.clock.now().timestamp() - late_s) * 1000)
    world.node.deliver(channel, Publication(b"%d" % offset, offset=offset, epoch=epoch, time_ms=time_ms))


async def test_what_comes_too_late_is_told(world):
    world = world(**stream_of("2s"))
    client = entered(world)
    bring(world, 1, 1.9)
    bring(world, 2, 2.1)
    messages = client.read()
    assert data(messages) == [1]
    assert messages[-1]["push"] == {"channel": "a", "unsubscribe": {"code": 2500, "reason": "insufficient state"}}
    assert client.closed is None
    assert "a" not in world.node.hub.channels()


async def test_what_comes_too_late_ends_a_connection_with_a_server_side_subscription(world):
    world = world(**stream_of("2s"))
    client = world.connected("7")
    bring(world, 1, 60, channel="#7")
    assert client.closed == (3010, "insufficient state")


async def test_those_without_a_position_get_what_is_late(world):
    world = world(**stream_of("2s", force_positioning=False, allow_positioning=True))
    plain, positioned = world.connected("1"), world.connected("2")
    plain.send({"id": 2, "subscribe": {"channel": "a"}})
    positioned.send({"id": 2, "subscribe": {"channel": "a", "positioned": True}})
    bring(world, 1, 60)
    assert data(plain.read()) == [1]
    assert data(positioned.read()) == []
    bring(world, 2, 60)
    assert data(plain.read()) == [2]


async def test_a_late_one_that_is_known_already_means_nothing(world):
    world = world(**stream_of("2s"))
    client = entered(world)
    bring(world, 1, 0)
    bring(world, 1, 60)
    bring(world, 2, 0)
    assert data(client.read()) == [1, 2]


async def test_a_late_one_in_a_gap_that_is_being_filled(world):
    """The gap is given up for those who must not miss anything; the others get all of it."""
    world = world(**stream_of("2s", force_positioning=False, allow_positioning=True))
    lossy = Lossy(world)
    plain, positioned = world.connected("1"), world.connected("2")
    plain.send({"id": 2, "subscribe": {"channel": "a"}})
    positioned.send({"id": 2, "subscribe": {"channel": "a", "positioned": True}})
    await lossy.publish(1)
    await lossy.publish(2, 3, lost=True)
    room = world.node.hub.room("a")
    room.held = []  # as when the read is under way
    bring(world, 4, 60)
    world.node.positions.heal(room)
    assert [entry["push"]["unsubscribe"]["code"] for entry in positioned.read() if "unsubscribe" in entry["push"]] == [2500]
    assert data(plain.read()) == [1, 4]


async def test_lateness_does_not_count_by_default(world):
    world = world(channel=STREAM)
    client = entered(world)
    bring(world, 1, 3600)
    assert data(client.read()) == [1]
