"""The official Python client of the HTTP API (PyPI `cent`) against the conformance example: every method that is offered."""

import asyncio
import time
import uuid

import cent
import jwt
import pytest
from centrifuge import Client, ClientEventHandler

pytestmark = [pytest.mark.sdk, pytest.mark.filterwarnings("ignore:The HMAC key")]  # its secret is the suites'

KINDS = ("connecting", "connected", "disconnected", "subscribed", "unsubscribed", "publication", "join", "leave")


@pytest.fixture
def client(conformance):
    made = cent.Client(f"{conformance.url}/api", api_key="api_key")
    yield made
    made.close()


@pytest.fixture
def channel():
    return f"cent-{uuid.uuid4().hex[:8]}"


class Watcher(ClientEventHandler):
    """A connected client of a user, and all that it is told."""

    def __init__(self, server, **claims):
        self.user = f"cent-{uuid.uuid4().hex[:8]}"
        self.told = asyncio.Queue()
        self.claims = {"sub": self.user, "iat": int(time.time()) - 1, **claims}
        self.client = Client(
            server.ws_url, events=self, token=jwt.encode(self.claims, "secret", "HS256"), min_reconnect_delay=0.05
        )

    async def until(self, kind):
        async with asyncio.timeout(20):
            while True:
                told, context = await self.told.get()
                if told == kind:
                    return context

    def __getattribute__(self, name):
        kind = name.removeprefix("on_")
        if kind not in KINDS:
            return super().__getattribute__(name)

        async def note(context):
            self.told.put_nowait((kind, context))

        return note


@pytest.fixture
async def watch(conformance):
    made = []

    async def connect(**claims):
        made.append(Watcher(conformance, **claims))
        await made[-1].client.connect()
        await made[-1].client.ready(timeout=20)
        return made[-1]

    yield connect
    for watcher in made:
        await watcher.client.disconnect()


def publish(client, channel, data, **more):
    return client.publish(cent.PublishRequest(channel=channel, data=data, **more))


def connections_of(user):
    return cent.ConnectionsRequest(user=user, expression="")


def read(client, channel, **asked):
    return client.history(cent.HistoryRequest(channel=channel, **asked))


def test_publish_and_history(client, channel):
    first = publish(client, channel, {"n": 1}, tags={"kind": "goal"}, idempotency_key="once")
    again = publish(client, channel, {"n": "other"}, idempotency_key="once")
    assert (again.offset, again.epoch) == (first.offset, first.epoch)
    second = client.publish(cent.PublishRequest(channel=channel, data=None, b64data="eyJuIjoyfQ=="))
    assert (second.offset, second.epoch) == (first.offset + 1, first.epoch)
    publish(client, channel, {"n": "passing"}, skip_history=True)
    history = read(client, channel, limit=10)
    assert [(entry.offset, entry.data, entry.tags) for entry in history.publications] == [
        (1, {"n": 1}, {"kind": "goal"}),
        (2, {"n": 2}, None),
    ]
    assert (history.offset, history.epoch) == (2, first.epoch)
    assert [entry.offset for entry in read(client, channel, limit=1, reverse=True).publications] == [2]
    since = cent.StreamPosition(offset=1, epoch=first.epoch)
    assert [entry.offset for entry in read(client, channel, limit=10, since=since).publications] == [2]
    client.history_remove(cent.HistoryRemoveRequest(channel=channel))
    assert read(client, channel, limit=10).publications == []
    assert read(client, channel, limit=10).offset == 2
    with pytest.raises(cent.CentApiResponseError) as caught:
        read(client, channel, limit=1, since=cent.StreamPosition(offset=1, epoch="other"))
    assert caught.value.code == 112


def test_broadcast(client, channel):
    channels = [channel, "undefined:a", f"{channel}-b"]
    result = client.broadcast(cent.BroadcastRequest(channels=channels, data={"n": 1}))
    assert [response.error and response.error.code for response in result.responses] == [None, 102, None]
    assert [response.result and response.result.offset for response in result.responses] == [1, None, 1]


async def test_presence_info_and_channels(client, channel, watch):
    assert client.presence(cent.PresenceRequest(channel=channel)).presence == {}
    watcher = await watch(info={"name": "Ann"}, channels=[channel])
    ((client_id, info),) = client.presence(cent.PresenceRequest(channel=channel)).presence.items()
    assert (info.client, info.user, info.conn_info) == (client_id, watcher.user, {"name": "Ann"})
    stats = client.presence_stats(cent.PresenceStatsRequest(channel=channel))
    assert (stats.num_clients, stats.num_users) == (1, 1)
    found = client.channels(cent.ChannelsRequest(pattern=f"{channel}*")).channels
    assert {name: entry.num_clients for name, entry in found.items()} == {channel: 1}
    assert client.channels(cent.ChannelsRequest(pattern="nothing-like-this")).channels == {}
    (node,) = client.info(cent.InfoRequest()).nodes
    assert node.uid
    assert node.name
    assert node.version
    assert node.num_clients >= 1
    assert node.num_users >= 1
    assert node.num_channels >= 1
    assert node.num_subs >= 1


async def test_subscribe_with_data_and_unsubscribe(client, channel, watch):
    watcher = await watch()
    assert (await watcher.until("subscribed")).channel == f"#{watcher.user}"
    override = cent.ChannelOptionsOverride(presence=cent.BoolValue(value=False))
    for name, more in ((channel, {"info": {"role": "host"}}), (f"{channel}-hidden", {"override": override})):
        request = cent.SubscribeRequest(user=watcher.user, channel=name, data={"hello": name}, **more)
        client.subscribe(request)
        told = await watcher.until("subscribed")
        assert (told.channel, told.data, told.recoverable) == (name, {"hello": name}, True)
    (info,) = client.presence(cent.PresenceRequest(channel=channel)).presence.values()
    assert info.chan_info == {"role": "host"}
    assert client.presence(cent.PresenceRequest(channel=f"{channel}-hidden")).presence == {}
    publish(client, channel, {"n": 1})
    got = await watcher.until("publication")
    assert (got.channel, got.pub.data) == (channel, {"n": 1})
    client.unsubscribe(cent.UnsubscribeRequest(user=watcher.user, channel=channel))
    assert (await watcher.until("unsubscribed")).channel == channel
    assert client.presence(cent.PresenceRequest(channel=channel)).presence == {}


async def test_disconnect(client, watch):
    watcher, spared = await watch(), await watch()
    (spared_id,) = client.connections(connections_of(spared.user)).connections
    enough = cent.Disconnect(code=4900, reason="enough")
    client.disconnect(cent.DisconnectRequest(user=spared.user, whitelist=[spared_id], disconnect=enough))
    client.disconnect(cent.DisconnectRequest(user=watcher.user, client="somebody else", disconnect=enough))
    client.disconnect(cent.DisconnectRequest(user=watcher.user, disconnect=enough))
    told = await watcher.until("disconnected")
    assert (told.code, told.reason) == (4900, "enough")
    assert list(client.connections(connections_of(spared.user)).connections) == [spared_id]
    client.disconnect(cent.DisconnectRequest(user=spared.user))
    assert (await spared.until("disconnected")).code == 3503


async def test_refresh(client, watch):
    watcher = await watch()
    await watcher.until("connecting")
    client.refresh(cent.RefreshRequest(user=watcher.user, expire_at=int(time.time()) + 600))
    client.refresh(cent.RefreshRequest(user=watcher.user, expired=True))
    assert (await watcher.until("connecting")).code == 3005
    client.refresh(cent.RefreshRequest(user="cent-nobody", expired=True))


async def test_connections(client, channel, watch):
    watcher = await watch(jti="token-1", channels=[channel], meta={"team": "blue"})
    ((client_id, connection),) = client.connections(connections_of(watcher.user)).connections.items()
    assert len(client_id) == 36
    assert (connection.user, connection.transport, connection.protocol) == (watcher.user, "websocket", "json")
    assert connection.state.channels.keys() == {channel, f"#{watcher.user}"}
    assert connection.state.connection_token.uid == "token-1"
    assert connection.state.meta == {"team": "blue"}


async def test_blocking_and_revoking(client, watch):
    """Whoever is blocked has to stay away; whose token does not count any more asks for another, and has none."""
    later = int(time.time()) + 600
    blocked, revoked, invalidated = await watch(), await watch(jti=uuid.uuid4().hex), await watch()
    client.block_user(cent.BlockUserRequest(user=blocked.user, expire_at=later))
    assert (await blocked.until("disconnected")).code == 3507
    await blocked.client.connect()
    assert (await blocked.until("disconnected")).code == 3507
    client.unblock_user(cent.UnblockUserRequest(user=blocked.user))
    await blocked.client.connect()
    await blocked.client.ready(timeout=20)
    client.revoke_token(cent.RevokeTokenRequest(uid=revoked.claims["jti"], expire_at=later))
    client.invalidate_user_tokens(cent.InvalidateUserTokensRequest(user=invalidated.user, expire_at=later))
    for watcher in (revoked, invalidated):
        await watcher.until("connected")
        assert (await watcher.until("connecting")).code == 3014


def test_devices(client):
    user = f"cent-{uuid.uuid4().hex[:8]}"
    made = client.device_register(
        cent.DeviceRegisterRequest(provider="fcm", token=f"{user}-phone", platform="android", user=user)
    )
    listed = client.device_list(cent.DeviceListRequest(filter=cent.DeviceFilter(users=[user])))
    assert [(item.id, item.user, item.provider) for item in listed.items] == [(made.id, user, "fcm")]
    client.device_remove(cent.DeviceRemoveRequest(users=[user]))
    assert client.device_list(cent.DeviceListRequest(filter=cent.DeviceFilter(users=[user]))).items == []


def test_methods_that_are_not_offered(client):
    with pytest.raises(cent.CentTransportError) as caught:
        client.get_user_status(cent.GetUserStatusRequest(users=["1"]))
    assert caught.value.status_code == 404


def test_commands_about_users_that_are_not_there(client, channel):
    client.subscribe(cent.SubscribeRequest(user="cent-nobody", channel=channel))
    client.unsubscribe(cent.UnsubscribeRequest(user="cent-nobody", channel=channel))
    client.disconnect(cent.DisconnectRequest(user="cent-nobody"))
    client.refresh(cent.RefreshRequest(user="cent-nobody"))
    assert client.connections(connections_of("cent-nobody")).connections == {}


@pytest.mark.parametrize("parallel", [False, True])
def test_batch(client, channel, parallel):
    requests = [
        cent.PublishRequest(channel=channel, data={"n": 1}),
        cent.BroadcastRequest(channels=[f"{channel}-b"], data={}),
        cent.PresenceRequest(channel=channel),
        cent.PresenceStatsRequest(channel=channel),
        cent.HistoryRequest(channel=f"{channel}-c", limit=1),
        cent.HistoryRemoveRequest(channel=f"{channel}-c"),
        cent.ChannelsRequest(pattern=f"{channel}*"),
        cent.InfoRequest(),
        cent.SubscribeRequest(user="cent-nobody", channel=channel),
        cent.UnsubscribeRequest(user="cent-nobody", channel=channel),
        cent.DisconnectRequest(user="cent-nobody"),
        cent.RefreshRequest(user="cent-nobody"),
        connections_of("cent-nobody"),
        cent.PublishRequest(channel=channel, data={"n": 2}),
    ]
    replies = client.batch(cent.BatchRequest(requests=requests, parallel=parallel)).replies
    assert len(replies) == len(requests)
    assert {replies[0].offset, replies[-1].offset} == {1, 2}
    assert replies[1].responses[0].result.offset == 1
    assert replies[3].num_clients == 0
    assert replies[4].publications == []
    assert replies[7].nodes[0].uid


async def test_the_asynchronous_client(conformance, channel):
    async with cent.AsyncClient(f"{conformance.url}/api", api_key="api_key") as client:
        published = await client.publish(cent.PublishRequest(channel=channel, data={"n": 1}))
        assert published.offset == 1
        history = await client.history(cent.HistoryRequest(channel=channel, limit=1))
        assert history.publications[0].data == {"n": 1}


@pytest.mark.parametrize(
    "request_class", [cent.PublishRequest, cent.HistoryRequest, cent.PresenceRequest, cent.PresenceStatsRequest]
)
def test_unknown_namespace(client, request_class):
    fields = {"data": {}} if request_class is cent.PublishRequest else {}
    with pytest.raises(cent.CentApiResponseError) as caught:
        client._send(request_class(channel="undefined:channel", **fields))
    assert (caught.value.code, caught.value.message) == (102, "unknown channel")


def test_wrong_key(conformance):
    with pytest.raises(cent.CentUnauthorizedError):
        publish(cent.Client(f"{conformance.url}/api", api_key="wrong"), "a", {})
