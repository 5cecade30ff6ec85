"""The official Python client of the HTTP API (PyPI `cent`) against the conformance example."""

import cent
import pytest

pytestmark = pytest.mark.sdk


@pytest.fixture
def client(conformance):
    return cent.Client(f"{conformance.url}/api", api_key="api_key")


def publish(client, channel, data):
    return client.publish(cent.PublishRequest(channel=channel, data=data))


def test_publish_and_history(client):
    first = publish(client, "cent-history", {"n": 1})
    second = publish(client, "cent-history", {"n": 2})
    assert second.offset == first.offset + 1
    assert second.epoch == first.epoch
    history = client.history(cent.HistoryRequest(channel="cent-history", limit=10))
    assert [entry.data for entry in history.publications] == [{"n": 1}, {"n": 2}]
    client.history_remove(cent.HistoryRemoveRequest(channel="cent-history"))
    assert client.history(cent.HistoryRequest(channel="cent-history", limit=10)).publications == []


def test_broadcast(client):
    result = client.broadcast(cent.BroadcastRequest(channels=["cent-a", "cent-b"], data={"n": 1}))
    assert len(result.responses) == 2
    assert all(response.error is None for response in result.responses)


def test_presence_info_and_channels(client):
    assert client.presence(cent.PresenceRequest(channel="cent-empty")).presence == {}
    stats = client.presence_stats(cent.PresenceStatsRequest(channel="cent-empty"))
    assert (stats.num_clients, stats.num_users) == (0, 0)
    assert client.channels(cent.ChannelsRequest()).channels is not None
    (node,) = client.info(cent.InfoRequest()).nodes
    assert node.uid
    assert node.name


def test_commands_about_users_that_are_not_there(client):
    client.subscribe(cent.SubscribeRequest(user="cent-user", channel="cent-a"))
    client.unsubscribe(cent.UnsubscribeRequest(user="cent-user", channel="cent-a"))
    client.disconnect(cent.DisconnectRequest(user="cent-user"))
    client.refresh(cent.RefreshRequest(user="cent-user"))


def test_batch(client):
    commands = [cent.PublishRequest(channel="cent-a", data={}), cent.PresenceStatsRequest(channel="cent-a")]
    result = client.batch(cent.BatchRequest(requests=commands))
    assert result.replies[0].offset > 0
    assert result.replies[1].num_clients == 0


def test_unknown_namespace(client):
    with pytest.raises(cent.CentApiResponseError) as caught:
        publish(client, "undefined:channel", {})
    assert caught.value.code == 102


def test_wrong_key(conformance):
    with pytest.raises(cent.CentUnauthorizedError):
        publish(cent.Client(f"{conformance.url}/api", api_key="wrong"), "a", {})


def test_devices(client):
    token = "cent-token-of-a-phone"
    request = cent.DeviceRegisterRequest(provider="fcm", token=token, platform="android", user="cent-devices")
    id = client.device_register(request).id
    filter_ = cent.DeviceFilter(users=["cent-devices"])
    listed = client.device_list(cent.DeviceListRequest(filter=filter_, include_total_count=True))
    (device,) = listed.items
    assert (device.id, device.user, device.provider, device.platform) == (id, "cent-devices", "fcm", "android")
    assert listed.total_count == 1
    client.device_remove(cent.DeviceRemoveRequest(ids=[id], users=["cent-devices"]))
    assert client.device_list(cent.DeviceListRequest(filter=cent.DeviceFilter(ids=[id]))).items == []
