"""The official Python client (PyPI `centrifuge-python`) against a development server, with tokens of the command line."""

import asyncio
import uuid
from typing import Any

import pytest
from centrifuge import Client, ClientEventHandler, ReplyError, SubscriptionEventHandler

pytestmark = pytest.mark.sdk


class Events(ClientEventHandler):
    """Keeps what the client is told."""

    def __init__(self) -> None:
        self.queue: asyncio.Queue[tuple[str, Any]] = asyncio.Queue()

    async def on_connected(self, ctx: Any) -> None:
        self.queue.put_nowait(("connected", ctx))

    async def on_publication(self, ctx: Any) -> None:
        self.queue.put_nowait(("publication", ctx))

    async def until(self, kind: str) -> Any:
        async with asyncio.timeout(20):
            while True:
                got, ctx = await self.queue.get()
                if got == kind:
                    return ctx


class SubscriptionEvents(SubscriptionEventHandler):
    """Keeps what a subscription is told."""

    def __init__(self) -> None:
        self.queue: asyncio.Queue[tuple[str, Any]] = asyncio.Queue()

    async def on_subscribed(self, ctx: Any) -> None:
        self.queue.put_nowait(("subscribed", ctx))

    async def on_publication(self, ctx: Any) -> None:
        self.queue.put_nowait(("publication", ctx))

    until = Events.until


@pytest.fixture
async def connect(server):
    clients = []

    async def make(user: str = "42", **options: Any) -> tuple[Client, Events]:
        events = Events()

        async def get_token() -> str:
            return server.token(user)

        client = Client(server.ws_url, events=events, get_token=get_token, **options)
        clients.append(client)
        await client.connect()
        await client.ready(timeout=20)
        return client, events

    yield make
    for client in clients:
        await client.disconnect()


def channel() -> str:
    return f"py-{uuid.uuid4().hex[:8]}"


async def subscribe(client: Client, name: str, **options: Any) -> tuple[Any, SubscriptionEvents]:
    events = SubscriptionEvents()
    subscription = client.new_subscription(name, events=events, **options)
    await subscription.subscribe()
    await subscription.ready(timeout=20)
    return subscription, events


async def test_publish_and_receive(connect):
    (one, _), (two, _) = await connect("1"), await connect("2")
    name = channel()
    sender, _ = await subscribe(one, name)
    _, received = await subscribe(two, name)
    await sender.publish({"text": "hello"})
    publication = (await received.until("publication")).pub
    assert publication.data == {"text": "hello"}
    assert publication.info.user == "1"


async def test_recovery_after_a_killed_socket(connect):
    (one, _), (two, _) = await connect("1"), await connect("2", min_reconnect_delay=0.05, max_reconnect_delay=0.2)
    name = channel()
    sender, _ = await subscribe(one, name)
    _, received = await subscribe(two, name)
    await received.until("subscribed")
    await sender.publish({"n": 0})
    await received.until("publication")
    two._conn.transport.abort()
    for number in range(1, 4):
        await sender.publish({"n": number})
    assert (await received.until("subscribed")).recovered is True
    got = [(await received.until("publication")).pub.data["n"] for _ in range(3)]
    assert got == [1, 2, 3]


async def test_notification_and_ack(connect, server):
    client, events = await connect("py-notified")
    sent = server.notify("py-notified", title="Hello", ack_wait_s=30)
    publication = await events.until("publication")
    while "notification" not in publication.pub.data:  # how many there are in the inbox comes there too
        publication = await events.until("publication")
    assert publication.channel == "#py-notified"
    assert publication.pub.data["notification"]["id"] == sent
    await client.rpc("notification.ack", {"id": sent})
    assert server.status(sent)["state"] == "acknowledged"
    with pytest.raises(ReplyError) as caught:
        await client.rpc("notification.ack", {"id": "unknown"})
    assert caught.value.code == 104


async def test_devices_and_preferences_over_rpc(connect):
    client, _ = await connect("py-owner")
    made = (await client.rpc("devices.register", {"provider": "fcm", "token": "py-phone"})).data
    listed = (await client.rpc("devices.list", {})).data["items"]
    assert [item["id"] for item in listed] == [made["id"]]
    assert listed[0]["token"] != "py-phone"
    await client.rpc("devices.remove", {"id": made["id"]})
    assert (await client.rpc("devices.list", {})).data["items"] == []
    words = [{"category": "*", "route": "email", "enabled": False}]
    await client.rpc("preferences.set", {"preferences": words})
    assert (await client.rpc("preferences.get", {})).data["preferences"] == words
    with pytest.raises(ReplyError) as caught:
        await client.rpc("devices.register", {"provider": "pager", "token": "1"})
    assert caught.value.code == 107
