"""Bad input in one table: each case gets its code, names what is wrong, changes nothing and disturbs nobody else.

Messages over the size limit are refused by the WebSocket itself: see `transports/test_websocket.py`.
"""

import json

import pytest

from broker.store.store import open_store
from config.clock import ManualClock
from config.settings import NotificationSettings
from gateway.notify.methods import notification_methods
from gateway.notify.service import NotificationService

CHANNELS = {
    "without_namespace": {"allow_subscribe_for_client": True, "history_size": 10, "history_ttl": "60s", "presence": True},
    "namespaces": [{"name": "closed", "history_size": 10, "history_ttl": "60s", "presence": True}],
}

# Frames of a connected client, each with the code it is closed or answered with.
FRAMES = [
    pytest.param(b"nonsense", 3501, "bad request", id="malformed frame"),
    pytest.param(b'{"id":2,"subscribe":', 3501, "bad request", id="frame cut off"),
    pytest.param(b"", 3501, "bad request", id="empty frame"),
    pytest.param(b"\xff\xfe\x00", 3501, "bad request", id="frame that is no UTF-8"),
    pytest.param(b'{"id":2,"subscribe":{"channel":5}}', 3501, "bad request", id="field of a wrong type"),
    pytest.param(b'{"id":2,"dance":{}}', 3501, "bad request", id="unknown command"),
    pytest.param(b'{"id":2}', 3501, "bad request", id="no command"),
    pytest.param(b'{"id":2,"connect":{}}', 3501, "bad request", id="second connect"),
    pytest.param(b'{"id":2,"subscribe":{"channel":""}}', 3501, "bad request", id="empty channel"),
    pytest.param(b'{"id":2,"subscribe":{"channel":"nowhere:a"}}', 102, "unknown channel", id="unknown namespace"),
    pytest.param(b'{"id":2,"publish":{"channel":"nowhere:a","data":1}}', 102, "unknown channel", id="publish to nowhere"),
    pytest.param(b'{"id":2,"subscribe":{"channel":"closed:a"}}', 103, "permission denied", id="forbidden channel"),
    pytest.param(b'{"id":2,"subscribe":{"channel":"$a"}}', 103, "permission denied", id="private channel"),
    pytest.param(b'{"id":2,"publish":{"channel":"a","data":1}}', 103, "permission denied", id="forbidden publish"),
    pytest.param(b'{"id":2,"history":{"channel":"closed:a"}}', 103, "permission denied", id="forbidden history"),
    pytest.param(b'{"id":2,"presence":{"channel":"closed:a"}}', 103, "permission denied", id="forbidden presence"),
    pytest.param(b'{"id":2,"publish":{"channel":"a"}}', 107, "data must not be empty", id="publish of nothing"),
    pytest.param(b'{"id":2,"subscribe":{"channel":"%b"}}' % (b"x" * 256), 107, "at most 255 bytes", id="long channel"),
    pytest.param('{"id":2,"subscribe":{"channel":"ä"}}'.encode(), 107, "channel has characters", id="odd channel"),
    pytest.param(b'{"id":2,"subscribe":{"channel":"a","token":"x"}}', 103, "permission denied", id="wrong channel token"),
    pytest.param(b'{"id":2,"refresh":{"token":"x"}}', 3500, "invalid token", id="wrong token at refresh"),
    pytest.param(b'{"id":2,"rpc":{"method":"nothing"}}', 108, "not available", id="unknown RPC method"),
]


def standing(world):
    """What must not change: who is here, who is in which channel, what the streams hold."""
    streams = world.engine.pubsub.statistics()
    hub = world.node.hub
    return hub.channels(), hub.statistics(), streams.publications, streams.subscribed, len(world.engine.presence)


def watching(world):
    client = world.connected("watcher")
    assert "subscribe" in client.send({"id": 2, "subscribe": {"channel": "a"}})[0]
    return client


async def still_hears(api, bystander):
    """Publish, and see that the bystander got this and nothing else."""
    await api.result("publish", channel="a", data={"still": "here"})
    (message,) = bystander.read()
    assert message["push"]["pub"]["data"] == {"still": "here"}
    assert bystander.closed is None


def told(client, messages):
    """Give code and text that a client was answered or closed with."""
    if client.closed is not None:
        assert messages == []
        return client.closed
    (reply,) = messages
    return reply["error"]["code"], reply["error"]["message"]


@pytest.mark.parametrize(("frame", "code", "text"), FRAMES)
async def test_frames(world, api, frame, code, text):
    world = world(channel=CHANNELS)
    bystander, opened = watching(world), api(world)
    before = standing(world)
    client = world.connected("offender")
    with_client = standing(world)
    got_code, got_text = told(client, client.send_bytes(frame))
    assert got_code == code
    assert text in got_text
    assert standing(world) == (before if code >= 3000 else with_client)
    await still_hears(opened, bystander)


TOKENS = [
    pytest.param({"token": "garbage"}, 3500, "invalid token", id="wrong token"),
    pytest.param({"forged": True}, 3500, "invalid token", id="token of another key"),
    pytest.param({}, 3501, "bad request", id="no token"),
    pytest.param({"claims": {"exp": 1}}, 109, "token expired", id="expired token"),
    pytest.param({"claims": {"nbf": 4102444800}}, 109, "token expired", id="token of the future"),
    pytest.param({"claims": {"channel": "a"}}, 3500, "invalid token", id="token for a channel"),
    pytest.param({"claims": {"channels": ["a", "nowhere:a"]}}, 102, "unknown channel", id="token with an unknown namespace"),
    pytest.param({"claims": {"subs": {"a": {"b64info": "?"}}}}, 3500, "invalid token", id="token with bad base64"),
]


@pytest.mark.parametrize(("credentials", "code", "text"), TOKENS)
async def test_credentials(world, api, credentials, code, text):
    world = world(channel=CHANNELS)
    bystander, opened = watching(world), api(world)
    before = standing(world)
    token = credentials.get("token", "")
    if "claims" in credentials or "forged" in credentials:
        token = world.token("offender", **credentials.get("claims", {}))
    if "forged" in credentials:
        head, claims, signature = token.split(".")
        token = ".".join((head, claims, signature[::-1]))
    client = world.client()
    assert told(client, client.send({"id": 1, "connect": {"token": token}})) == (code, text)
    assert standing(world) == before
    await still_hears(opened, bystander)
    # Whatever it tries now, it is not in.
    client.send({"id": 2, "subscribe": {"channel": "a"}})
    assert client.closed is not None
    assert standing(world)[0] == before[0]


@pytest.fixture
async def opened(world, api, store_file):
    """A world and its API with the notification methods on a store of their own."""
    made = world(channel=CHANNELS)
    store = await open_store(f"sqlite:///{store_file}", clock=ManualClock())
    service = NotificationService(store.ledger, store.devices, store.preferences, NotificationSettings())
    yield made, api(made, notification_methods(service)), store
    await store.close()


WORD = {"category": "chat", "route": "push", "enabled": True}
CALLS = [
    pytest.param("publish", b"{", 400, "truncated", id="invalid JSON body"),
    pytest.param("publish", b"\xff", 400, "bad request", id="body that is no UTF-8"),
    pytest.param("publish", {"channel": "a", "data": 1, "tags": {"n": 1}}, 400, "tags", id="field of a wrong type"),
    pytest.param("publish", {"data": 1}, 107, "channel must not be empty", id="no channel"),
    pytest.param("publish", {"channel": "a"}, 107, "data must not be empty", id="no data"),
    pytest.param("publish", {"channel": "a", "b64data": "?"}, 107, "b64data must be base64", id="no base64"),
    pytest.param("publish", {"channel": "nowhere:a", "data": 1}, 102, "unknown channel", id="unknown namespace"),
    pytest.param("broadcast", {"data": 1}, 107, "channels must name", id="no channels"),
    pytest.param("subscribe", {"user": "watcher"}, 107, "channel must not be empty", id="subscribe to nothing"),
    pytest.param("subscribe", {"user": "watcher", "channel": "nowhere:a"}, 102, "unknown channel", id="subscribe to nowhere"),
    pytest.param("unsubscribe", {"user": "watcher"}, 107, "channel must not be empty", id="unsubscribe from nothing"),
    pytest.param("disconnect", {"user": "watcher", "disconnect": {"code": 5}}, 107, "disconnect.code", id="wrong code"),
    pytest.param("history", {"channel": "a", "since": {"epoch": "x"}}, 112, "unrecoverable position", id="lost position"),
    pytest.param(
        "notify", {"user": "7", "title": "x", "titel": "y"}, 107, "titel: unknown field", id="unknown field in notify"
    ),
    pytest.param("notify", {"user": "7"}, 107, "title: one of", id="notify of nothing"),
    pytest.param("notify", {"user": "7", "title": "x", "routes": ["pigeon"]}, 107, "routes[0]: must be", id="unknown route"),
    pytest.param("notify", {"users": ["7", "7"], "title": "x"}, 107, "users: must not name", id="user named twice"),
    pytest.param("notification_ack", {"user": "7", "id": "x"}, 104, "notification not found", id="unknown notification"),
    pytest.param(
        "preferences_set",
        {"user": "7", "preferences": [{**WORD, "route": "pigeon"}]},
        107,
        "preferences[0].route: must be",
        id="unknown user preference",
    ),
    pytest.param(
        "preferences_set",
        {"user": "7", "preferences": [WORD, {**WORD, "volume": 11}]},
        107,
        "preferences[1].volume: unknown field",
        id="unknown field of a preference",
    ),
    pytest.param(
        "device_register", {"user": "7", "provider": "pager", "token": "1"}, 107, "provider: must be", id="unknown provider"
    ),
    pytest.param("device_register", {"user": "7", "provider": "apns", "token": "x"}, 107, "token: must be", id="wrong token"),
]


@pytest.mark.parametrize(("method", "body", "code", "text"), CALLS)
async def test_calls(opened, method, body, code, text):
    world, api, store = opened
    bystander = watching(world)
    before = standing(world)
    response = await api.post(method, body)
    if code == 400:
        assert response.status_code == 400
        assert text in response.text
    else:
        assert response.status_code == 200
        error = json.loads(response.content)["error"]
        assert error["code"] == code
        assert text in error["message"]
    assert standing(world) == before
    assert await store.ledger.next_due() is None
    assert await store.devices.of_user("7") == []
    assert await store.preferences.of_user("7") == []
    await still_hears(api, bystander)


async def test_a_call_without_the_key(opened):
    world, api, _ = opened
    bystander = watching(world)
    response = await api.post("disconnect", {"user": "watcher"}, {"X-API-Key": "wrong"})
    assert (response.status_code, response.content) == (401, b"")
    await still_hears(api, bystander)
