"""The official Python client (PyPI `centrifuge-python`) in both encodings, behind a network that breaks."""

import asyncio
import json
import time
import uuid

import jwt
import pytest
from centrifuge import Client, ClientEventHandler, ReplyError, StreamPosition, SubscriptionEventHandler
from centrifuge.client import DeltaType
from centrifuge.filter import Filter

pytestmark = pytest.mark.sdk

SECRET = "secret of the tests of the official clients"
TEXT = "the same long text in every publication, so that a patch is worth its while: é " * 5
KINDS = ("connecting", "connected", "disconnected", "subscribing", "subscribed", "unsubscribed", "publication", "join", "leave")


class Told:
    """Keeps what a client or a subscription is told, by kind."""

    def __init__(self):
        self.queues = {kind: asyncio.Queue() for kind in KINDS}

    async def next(self, kind, channel=""):
        """Wait for what is told next of that kind; of one channel, where a client may be told of several."""
        async with asyncio.timeout(20):
            while True:
                context = await self.queues[kind].get()
                if channel in ("", getattr(context, "channel", "")):
                    return context

    def __getattribute__(self, name):
        kind = name.removeprefix("on_")
        if not name.startswith("on_") or kind not in KINDS:
            return super().__getattribute__(name)

        async def note(context):
            self.queues[kind].put_nowait(context)

        return note


class ClientTold(Told, ClientEventHandler):
    pass


class SubscriptionTold(Told, SubscriptionEventHandler):
    pass


def token(user, *, ttl_s=600, **claims):
    return jwt.encode({"sub": user, "exp": int(time.time()) + ttl_s, **claims}, SECRET, "HS256")


class Side:
    """Clients of one encoding, and one channel."""

    def __init__(self, server, network, *, use_protobuf):
        self.server, self.network, self.use_protobuf = server, network, use_protobuf
        self.channel = f"py-{uuid.uuid4().hex[:8]}"
        self.clients = []

    async def connect(self, user="42", **options):
        told = ClientTold()
        url = f"{self.network.url.replace('http', 'ws')}/connection/websocket"
        client = Client(
            url, events=told, use_protobuf=self.use_protobuf, min_reconnect_delay=0.02, **{"token": token(user), **options}
        )
        self.clients.append(client)
        await client.connect()
        await client.ready(timeout=20)
        return client, told

    async def subscribe(self, client, channel="", **options):
        told = SubscriptionTold()
        subscription = client.new_subscription(channel or self.channel, events=told, **options)
        await subscription.subscribe()
        await subscription.ready(timeout=20)
        await told.next("subscribed")
        return subscription, told

    def encode(self, data):
        return json.dumps(data).encode() if self.use_protobuf else data

    def decode(self, data):
        return json.loads(data) if self.use_protobuf else data

    async def received(self, told, count):
        return [self.decode((await told.next("publication")).pub.data) for _ in range(count)]

    async def call(self, method, **body):
        return await asyncio.to_thread(self.server.call, method, **body)

    async def publish(self, *data, **options):
        for entry in data:
            await self.call("publish", channel=self.channel, data=entry, **options)

    async def away(self, told, *data, **options):
        """The network breaks, something is published, and it comes back."""
        while not told.queues["connecting"].empty():
            told.queues["connecting"].get_nowait()
        self.network.cut()
        await told.next("connecting")
        await self.publish(*data, **options)
        self.network.mend()


@pytest.fixture(params=[False, True], ids=["json", "protobuf"])
async def side(everywhere, network, request):
    made = Side(everywhere, network, use_protobuf=request.param)
    yield made
    for client in made.clients:
        await client.disconnect()


def numbers(first, last):
    return [{"n": number} for number in range(first, last + 1)]


async def test_publish_and_receive(side):
    (one, _), (two, _) = await side.connect("1"), await side.connect("2")
    sender, _ = await side.subscribe(one)
    _, told = await side.subscribe(two)
    data = {"text": 'é 🎈 "quoted"\n', "nested": [1, 2.5, None, {"deep": True}]}
    await sender.publish(side.encode(data))
    publication = (await told.next("publication")).pub
    assert side.decode(publication.data) == data
    assert publication.info.user == "1"
    for entry in numbers(1, 20):
        await sender.publish(side.encode(entry))
    assert await side.received(told, 20) == numbers(1, 20)


async def test_presence_joins_and_leaves(side):
    one, _ = await side.connect("1", token=token("1", info={"name": "Ann"}))
    two, _ = await side.connect("2")
    subscription, told = await side.subscribe(one, join_leave=True)
    assert (await told.next("join")).info.user == "1"
    await side.subscribe(two)
    assert (await told.next("join")).info.user == "2"
    clients = (await subscription.presence()).clients
    assert sorted(info.user for info in clients.values()) == ["1", "2"]
    (ann,) = (info for info in clients.values() if info.user == "1")
    assert side.decode(ann.conn_info) == {"name": "Ann"}
    stats = await subscription.presence_stats()
    assert (stats.num_clients, stats.num_users) == (2, 2)
    await two.disconnect()
    assert (await told.next("leave")).info.user == "2"
    assert (await subscription.presence_stats()).num_clients == 1


async def test_history(side):
    client, _ = await side.connect()
    subscription, _ = await side.subscribe(client)
    await side.publish(*numbers(1, 5))

    async def read(**asked):
        return [side.decode(entry.data)["n"] for entry in (await subscription.history(**asked)).publications]

    top = await subscription.history()
    assert (top.publications, top.offset) == ([], 5)
    assert await read(limit=2, reverse=True) == [5, 4]
    assert await read(limit=2, since=StreamPosition(offset=2, epoch=top.epoch)) == [3, 4]
    assert await read(limit=-1, since=StreamPosition(offset=3, epoch=""), reverse=True) == [2, 1]
    with pytest.raises(ReplyError) as caught:
        await read(limit=1, since=StreamPosition(offset=1, epoch="other"))
    assert caught.value.code == 112


async def test_recovery(side):
    client, told = await side.connect()
    _, received = await side.subscribe(client)
    await side.publish({"n": 1})
    assert await side.received(received, 1) == [{"n": 1}]
    for first in (2, 7):
        await side.away(told, *numbers(first, first + 3))
        context = await received.next("subscribed")
        assert (context.was_recovering, context.recovered) == (True, True)
        await side.publish({"n": first + 4})
        assert await side.received(received, 5) == numbers(first, first + 4)


async def test_a_position_that_is_gone(side):
    side.channel = f"short:{side.channel}"
    client, told = await side.connect()
    _, received = await side.subscribe(client)
    await side.publish({"n": 1})
    assert await side.received(received, 1) == [{"n": 1}]
    await side.away(told, *numbers(2, 6))
    context = await received.next("subscribed")
    assert (context.was_recovering, context.recovered) == (True, False)
    await side.publish({"n": 7})
    assert await side.received(received, 1) == [{"n": 7}]


async def test_deltas(side):
    client, told = await side.connect()
    _, received = await side.subscribe(client, delta=DeltaType.FOSSIL)
    entries = [{**entry, "text": TEXT + "аб€🎈" * entry["n"]} for entry in numbers(1, 12)]
    await side.publish(*entries[:5])
    assert await side.received(received, 5) == entries[:5]
    await side.away(told, *entries[5:9])
    assert (await received.next("subscribed")).recovered is True
    await side.publish(*entries[9:])
    assert await side.received(received, 7) == entries[5:]


async def test_a_filter_by_tags(side):
    client, told = await side.connect()
    _, received = await side.subscribe(client, tags_filter=Filter.eq("kind", "goal"))
    await side.publish({"n": 1}, tags={"kind": "goal"})
    await side.publish({"n": 2}, tags={"kind": "foul"})
    await side.away(told, *numbers(3, 4), tags={"kind": "foul"})
    assert (await received.next("subscribed")).recovered is True
    await side.publish({"n": 5}, tags={"kind": "goal"})
    assert await side.received(received, 2) == [{"n": 1}, {"n": 5}]


async def test_server_side_subscriptions(side):
    user, other = f"user-{side.channel}", f"{side.channel}-other"
    client, told = await side.connect(user, token=token(user, channels=[side.channel]))
    assert (await told.next("subscribed", side.channel)).recoverable is True
    await side.publish({"n": 1})
    await side.away(told, *numbers(2, 3))
    assert (await told.next("subscribed", side.channel)).recovered is True
    await client.publish(side.channel, side.encode({"n": 4}))
    assert await side.received(told, 4) == numbers(1, 4)
    await side.call("subscribe", user=user, channel=other, data={"hello": 1})
    assert side.decode((await told.next("subscribed", other)).data) == {"hello": 1}
    await side.call("unsubscribe", user=user, channel=other)
    await told.next("unsubscribed", other)
    await side.call("disconnect", user=user, disconnect={"code": 4900, "reason": "enough"})
    context = await told.next("disconnected")
    assert (context.code, context.reason) == (4900, "enough")


async def test_rpc(side):
    client, _ = await side.connect()
    assert (await client.rpc("ping", side.encode({}))).data in (None, b"")
    assert side.decode((await client.rpc("preferences.get", side.encode({}))).data) == {"preferences": []}
    for method, code in (("nothing", 108), ("notification.ack", 104)):
        with pytest.raises(ReplyError) as caught:
            await client.rpc(method, side.encode({"id": "unknown"}))
        assert caught.value.code == code


async def test_unsubscribe(side):
    (one, _), (two, _) = await side.connect("1"), await side.connect("2")
    subscription, told = await side.subscribe(one)
    _, witness = await side.subscribe(two)
    await subscription.unsubscribe()
    assert (await told.next("unsubscribed")).code == 0
    await side.publish({"n": 1})
    assert await side.received(witness, 1) == [{"n": 1}]
    assert told.queues["publication"].empty()
    await subscription.subscribe()
    await subscription.ready(timeout=20)
    await side.call("unsubscribe", user="1", channel=side.channel)
    assert (await told.next("unsubscribed")).code == 2000


async def test_tokens_are_refreshed(side):
    asked, private = [], f"${side.channel}"

    async def connection_token():
        asked.append("connection")
        return token("42")

    async def subscription_token(channel):
        asked.append(channel)
        return token("42", channel=channel)

    short = token("42", ttl_s=2)
    client, told = await side.connect(token=short, get_token=connection_token)
    options = {"token": token("42", ttl_s=2, channel=private), "get_token": subscription_token}
    subscription, events = await side.subscribe(client, private, **options)
    async with asyncio.timeout(20):
        while len(asked) < 2:  # noqa: ASYNC110 (the client tells of it nowhere else)
            await asyncio.sleep(0.02)
    await subscription.publish(side.encode({"n": 1}))
    assert await side.received(events, 1) == [{"n": 1}]
    assert sorted(asked) == sorted(["connection", private])
    assert told.queues["disconnected"].empty()
    assert events.queues["unsubscribed"].empty()


@pytest.mark.parametrize(("channel", "code"), [("closed:a", 103), ("$private", 103), ("nowhere:a", 102)])
async def test_channels_that_are_refused(side, channel, code):
    client, _ = await side.connect()
    told = SubscriptionTold()
    await client.new_subscription(channel, events=told).subscribe()
    assert (await told.next("unsubscribed")).code == code


async def test_a_bad_token_is_terminal(side):
    told = ClientTold()
    url = f"{side.network.url.replace('http', 'ws')}/connection/websocket"
    client = Client(url, events=told, token="garbage", use_protobuf=side.use_protobuf)
    await client.connect()
    assert (await told.next("disconnected")).code == 3500
