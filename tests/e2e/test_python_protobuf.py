"""The official Python client (PyPI `centrifuge-python`) in both encodings: data, recovery, deltas, filters by tags."""

import asyncio
import json
import uuid

import pytest
from centrifuge import Client, SubscriptionEventHandler
from centrifuge.client import DeltaType
from centrifuge.filter import Filter

pytestmark = pytest.mark.sdk

LONG = "the same long text in every publication, so that a patch is worth its while: é " * 5


class Received(SubscriptionEventHandler):
    """Keeps publications and the contexts of subscribing."""

    def __init__(self):
        self.publications, self.subscribed = asyncio.Queue(), asyncio.Queue()

    async def on_publication(self, ctx):
        self.publications.put_nowait(ctx.pub)

    async def on_subscribed(self, ctx):
        self.subscribed.put_nowait(ctx)


class Side:
    """One client in one channel, whatever the encoding."""

    def __init__(self, server, *, use_protobuf):
        self.server, self.use_protobuf = server, use_protobuf
        self.channel = f"py-{uuid.uuid4().hex[:8]}"
        self.client = Client(server.ws_url, use_protobuf=use_protobuf)
        self.received = Received()

    async def subscribe(self, **options):
        await self.client.connect()
        await self.client.ready(timeout=20)
        subscription = self.client.new_subscription(self.channel, events=self.received, **options)
        await subscription.subscribe()
        await subscription.ready(timeout=20)
        await self.received.subscribed.get()
        return subscription

    def encode(self, data):
        return json.dumps(data).encode() if self.use_protobuf else data

    def decode(self, data):
        return json.loads(data) if self.use_protobuf else data

    async def next(self):
        async with asyncio.timeout(20):
            return self.decode((await self.received.publications.get()).data)

    async def publish(self, data, **options):
        await asyncio.to_thread(self.server.call, "publish", channel=self.channel, data=data, **options)


@pytest.fixture(params=[False, True], ids=["json", "protobuf"])
async def side(filtered, request):
    made = Side(filtered, use_protobuf=request.param)
    yield made
    await made.client.disconnect()


async def test_publish_history_and_presence(side):
    subscription = await side.subscribe()
    for number in range(3):
        await subscription.publish(side.encode({"n": number}))
    assert [await side.next() for _ in range(3)] == [{"n": 0}, {"n": 1}, {"n": 2}]
    history = await subscription.history(limit=2, reverse=True)
    assert [side.decode(entry.data)["n"] for entry in history.publications] == [2, 1]
    assert len((await subscription.presence()).clients) == 1
    assert (await subscription.presence_stats()).num_clients == 1


async def test_recovery(side):
    await side.subscribe()
    await side.publish({"n": 0})
    assert await side.next() == {"n": 0}
    await side.client.disconnect()
    for number in range(1, 4):
        await side.publish({"n": number})
    await side.client.connect()
    async with asyncio.timeout(20):
        assert (await side.received.subscribed.get()).recovered is True
    assert [(await side.next())["n"] for _ in range(3)] == [1, 2, 3]


async def test_deltas(side):
    await side.subscribe(delta=DeltaType.FOSSIL)
    for number in range(4):
        await side.publish({"n": number, "text": LONG})
    assert [await side.next() for _ in range(4)] == [{"n": number, "text": LONG} for number in range(4)]


async def test_a_filter_by_tags(side):
    await side.subscribe(tags_filter=Filter.eq("kind", "goal"))
    for number in range(6):
        await side.publish({"n": number}, tags={"kind": "goal" if number % 2 else "foul"})
    assert [(await side.next())["n"] for _ in range(3)] == [1, 3, 5]
