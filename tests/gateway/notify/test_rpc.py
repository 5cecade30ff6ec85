"""The notification methods over RPC: the connected user's own affairs, and nobody else's."""

import pytest

FCM = "dQw4w9WgXcQ:APA91b-" + "x" * 60
NOBODY = "01890000-0000-7000-8000-000000000000"


async def test_an_ack(desk):
    client = desk.world.connected("42")
    id = await desk.notify("42")
    for _ in range(2):
        assert await desk.rpc(client, "notification.ack", id=id) == {"rpc": {"data": {}}}
    assert await desk.state(id) == "acknowledged"


async def test_an_ack_of_anothers_or_of_nothing_changes_nothing(desk):
    client = desk.world.connected("43")
    id = await desk.notify("42")
    for named in (id, NOBODY, "nonsense", ""):
        reply = await desk.rpc(client, "notification.ack", id=named)
        assert reply == {"error": {"code": 104, "message": "notification not found"}}
    assert await desk.state(id) == "pending"
    assert client.closed is None


async def test_an_ack_after_a_cancel(desk):
    client = desk.world.connected("42")
    id = await desk.notify("42")
    await desk.api.result("notification_cancel", id=id)
    assert await desk.rpc(client, "notification.ack", id=id) == {"rpc": {"data": {}}}
    assert await desk.state(id) == "cancelled"


async def test_devices(desk, subscription):
    client, other = desk.world.connected("42"), desk.world.connected("43")
    fcm = (await desk.rpc(client, "devices.register", provider="fcm", token=FCM))["rpc"]["data"]["id"]
    desk.world.clock.move(1)
    web = (await desk.rpc(client, "devices.register", provider="webpush", token=subscription))["rpc"]["data"]["id"]
    items = (await desk.rpc(client, "devices.list"))["rpc"]["data"]["items"]
    assert [(item["id"], item["token"]) for item in items] == [(fcm, "dQw4w9…"), (web, "https:…")]
    assert items == (await desk.api.result("device_list", user="42"))["items"]
    assert (await desk.rpc(other, "devices.list"))["rpc"]["data"] == {"items": []}
    refused = {"error": {"code": 104, "message": "device not found"}}
    assert await desk.rpc(other, "devices.remove", id=fcm) == refused
    assert await desk.rpc(client, "devices.remove", id=fcm) == {"rpc": {"data": {}}}
    assert [item["id"] for item in (await desk.rpc(client, "devices.list"))["rpc"]["data"]["items"]] == [web]


async def test_preferences(desk):
    client = desk.world.connected("42")
    word = {"category": "chat", "route": "push", "enabled": False}
    assert (await desk.rpc(client, "preferences.get"))["rpc"]["data"] == {"preferences": []}
    assert (await desk.rpc(client, "preferences.set", preferences=[word]))["rpc"]["data"] == {"preferences": [word]}
    assert await desk.api.result("preferences_get", user="42") == {"preferences": [word]}


METHODS = {
    "notification.ack": {"id": NOBODY},
    "notification.seen": {"id": NOBODY},
    "notification.read": {"id": NOBODY},
    "notification.dismissed": {"id": NOBODY},
    "notification.clicked": {"id": NOBODY},
    "inbox.list": {},
    "inbox.counts": {},
    "inbox.mark": {"all": True, "as": "read"},
    "devices.register": {"provider": "fcm", "token": FCM},
    "devices.list": {},
    "devices.remove": {"id": NOBODY},
    "preferences.get": {},
    "preferences.set": {"preferences": [{"category": "*", "route": "*", "enabled": False}]},
}


@pytest.mark.parametrize(("method", "request_"), METHODS.items())
@pytest.mark.parametrize("user", ["42", "43"])
async def test_the_user_cannot_be_named(desk, method, request_, user):
    client = desk.world.connected("42")
    reply = await desk.rpc(client, method, user=user, **request_)
    message = "bad request: user: must not be given: it is the connected one"
    assert reply == {"error": {"code": 107, "message": message}}
    for named in ("42", "43"):
        assert await desk.api.result("device_list", user=named) == {"items": []}
        assert await desk.api.result("preferences_get", user=named) == {"preferences": []}


@pytest.mark.parametrize(("method", "request_"), METHODS.items())
async def test_unknown_fields_are_refused(desk, method, request_):
    reply = await desk.rpc(desk.world.connected("42"), method, nonsense=1, **request_)
    assert reply == {"error": {"code": 107, "message": "bad request: nonsense: unknown field"}}


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"[]", "bad request: data: must be an object"),
        (b"5", "bad request: data: must be an object"),
        (b"null", "bad request: data: must be an object"),
        (b"", "bad request: id: must be given"),
        (b"{}", "bad request: id: must be given"),
        (b'{"id":5}', "bad request: id: must be text"),
    ],
)
async def test_data_that_is_no_request(desk, data, message):
    reply = await desk.rpc_bytes(desk.world.connected("42"), "notification.ack", data)
    assert reply == {"error": {"code": 107, "message": message}}


async def test_a_token_nested_as_deep_as_can_be_read_is_refused_like_any_other(desk):
    client = desk.world.connected("42")
    for depth in range(800, 1000):
        data = b'{"provider":"webpush","token":%b}' % (b"[" * depth + b"]" * depth)
        client.session.receive(b'{"id":9,"rpc":{"method":"devices.register","data":%b}}' % data)
        if client.closed is not None:
            break
        (reply,) = client.read()
        assert reply["error"]["code"] == 107, depth
    assert client.closed == (3501, "bad request")


async def test_wrong_values_name_field_and_rule(desk):
    client = desk.world.connected("42")
    reply = await desk.rpc(client, "devices.register", provider="email", token="nobody")
    message = "bad request: token: must be one mail address, ASCII, at most 254 characters"
    assert reply == {"error": {"code": 107, "message": message}}
    reply = await desk.rpc(client, "preferences.set", preferences=[{"category": "*", "route": "fax", "enabled": True}])
    rule = "must be one of live, push, email, sms, webhook or * for all"
    assert reply["error"]["message"] == f"bad request: preferences[0].route: {rule}"


async def test_anonymous_clients_have_no_notifications(desk):
    client = desk.world.connected("")
    for method, request in METHODS.items():
        reply = await desk.rpc(client, method, **request)
        message = "permission denied: anonymous clients have no notifications"
        assert reply == {"error": {"code": 103, "message": message}}


async def test_what_cannot_be_stored_is_temporary(desk):
    client = desk.world.connected("42")
    await desk.store.close()
    reply = await desk.rpc(client, "notification.ack", id=NOBODY)
    assert reply == {"error": {"code": 100, "message": "internal server error", "temporary": True}}
    assert client.closed is None


async def test_there_is_no_notify_over_rpc(desk):
    reply = await desk.rpc(desk.world.connected("42"), "notify", user="43", title="x")
    assert reply["error"]["code"] == 108
