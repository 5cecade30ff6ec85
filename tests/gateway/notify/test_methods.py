"""The notification methods over the API: what is stored, what is refused in which words, and that refusals change nothing."""

import msgspec
import pytest

KEY = "key-of-the-tests"
APNS = "0123456789abcdef" * 4
FCM = "dQw4w9WgXcQ:APA91b-" + "x" * 60
NOBODY = "01890000-0000-7000-8000-000000000000"


async def test_notify_answers_ids_that_are_stored(desk):
    answer = await desk.api.result("notify", users=["7", "5", "6"], title="Hello", priority="high", category="chat")
    assert [item["user"] for item in answer["notifications"]] == ["7", "5", "6"]
    ids = [item["id"] for item in answer["notifications"]]
    assert len(set(ids)) == 3
    for user, id in zip(["7", "5", "6"], ids, strict=True):
        notification = (await desk.api.result("notification_status", id=id))["notification"]
        now = desk.world.clock.now().timestamp()
        assert notification == {
            "id": id,
            "user": user,
            "state": "pending",
            "priority": "high",
            "category": "chat",
            "created_at": now,
            "expires_at": now + 86400,
            "steps": [],
        }


WRONG = [
    (b'{"user":"42","title":"x","nonsense":1}', "nonsense: unknown field"),
    (b'{"user":"42","title":"x","ack_wait":1}', "ack_wait: unknown field"),
    (b'{"user":42,"title":"x"}', "user: must be text"),
    (b'{"users":"42","title":"x"}', "users: must be a list"),
    (b'{"users":["1",2],"title":"x"}', "users[1]: must be text"),
    (b'{"user":null,"title":"x"}', "user: must be text"),
    (b'{"user":"42","title":null}', "title: must be text"),
    (b'{"user":"42","title":"x","ttl_s":"60"}', "ttl_s: must be a number"),
    (b'{"user":"42","title":"x","ttl_s":true}', "ttl_s: must be a number"),
    (b'{"user":"42","title":"x","ttl_s":-1}', "ttl_s: must be from 0 to 2592000 seconds"),
    (b'{"user":"42","title":"x","priority":"urgent"}', "priority: must be one of critical, high, normal, bulk"),
    (b'{"user":"42","title":"x","routes":"live"}', "routes: must be a list"),
    (b'{"user":"42","title":"x","routes":["fax"]}', "routes[0]: must be one of live, push, email, sms, webhook"),
    (b'{"user":"42","title":"x","data":[1]}', "data: must be a JSON object"),
    (b'{"user":"42"}', "title: one of title, body, data, template and variants must not be empty"),
    (b'{"title":"x"}', "user: exactly one of user, users and topic must be given"),
    (b"{}", "user: exactly one of user, users and topic must be given"),
    (b"[]", "body: must be an object"),
]


@pytest.mark.parametrize(("body", "message"), WRONG)
async def test_a_wrong_notify_is_107_and_stores_nothing(desk, body, message):
    response = await desk.api.post("notify", body)
    assert response.status_code == 200
    assert response.json() == {"error": {"code": 107, "message": f"bad request: {message}"}}
    assert await desk.store.ledger.next_due() is None


async def test_one_wrong_user_stores_none(desk):
    code, message = await desk.api.error("notify", users=["1", "", "3"], title="x")
    assert (code, message) == (107, "bad request: users[1]: must be 1 to 255 characters")
    assert await desk.store.ledger.next_due() is None


@pytest.mark.parametrize("body", [b"", b"nonsense", b'{"user":"42",', b'{"user":"42","title":"\xff"}'])
async def test_a_body_that_is_no_json_is_400(desk, body):
    assert (await desk.api.post("notify", body)).status_code == 400
    assert await desk.store.ledger.next_due() is None


async def test_in_a_batch_the_errors_are_the_same(desk):
    commands = [{"notify": {"user": "42", "title": "x", "nonsense": 1}}, {"notify": {"user": "42", "title": "x"}}]
    replies = (await desk.api.post("batch", {"commands": commands})).json()["replies"]
    assert replies[0] == {"error": {"code": 107, "message": "bad request: nonsense: unknown field"}}
    assert replies[1]["notify"]["notifications"][0]["user"] == "42"


async def test_the_correlation_id_is_stored(desk):
    response = await desk.api.post("notify", {"user": "42", "title": "x"}, {"X-Request-ID": "trace-1"})
    (item,) = response.json()["result"]["notifications"]
    status = await desk.store.ledger.status(item["id"])
    assert status.notification.correlation_id == "trace-1"


# Acknowledging and cancelling.


async def test_an_ack_ends_it_and_again_is_success(desk):
    id = await desk.notify("42")
    for _ in range(2):
        assert await desk.api.result("notification_ack", user="42", id=id) == {}
        assert await desk.state(id) == "acknowledged"
    steps = (await desk.api.result("notification_status", id=id))["notification"]["steps"]
    assert [step["outcome"] for step in steps] == ["acknowledged"]
    assert steps[0]["time"] == round(desk.world.clock.now().timestamp(), 3)
    assert await desk.store.ledger.next_due() is None


async def test_an_ack_of_anothers_or_of_nothing_is_104_and_changes_nothing(desk):
    id = await desk.notify("42")
    before = await desk.api.result("notification_status", id=id)
    for user, named in (("43", id), ("42", NOBODY), ("42", "nonsense"), ("42", ""), ("42", "\x00"), ("42", "x" * 5000)):
        assert await desk.api.error("notification_ack", user=user, id=named) == (104, "notification not found")
    assert await desk.api.result("notification_status", id=id) == before


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        ({"id": "x"}, "user: must not be empty"),
        ({"id": "x", "user": ""}, "user: must not be empty"),
        ({"user": "42"}, "id: must be given"),
        ({"user": "42", "id": 5}, "id: must be text"),
        ({"user": "42", "id": "x", "why": 1}, "why: unknown field"),
    ],
)
async def test_a_wrong_ack(desk, request_, message):
    assert await desk.api.error("notification_ack", **request_) == (107, f"bad request: {message}")


async def test_an_ack_after_a_cancel_is_success_without_effect(desk):
    id = await desk.notify("42")
    assert await desk.api.result("notification_cancel", id=id) == {"state": "cancelled"}
    assert await desk.api.result("notification_ack", user="42", id=id) == {}
    assert await desk.state(id) == "cancelled"


async def test_a_cancel_after_an_ack_has_no_effect(desk):
    id = await desk.notify("42")
    await desk.api.result("notification_ack", user="42", id=id)
    assert await desk.api.result("notification_cancel", id=id) == {"state": "acknowledged"}
    assert await desk.api.result("notification_cancel", id=id) == {"state": "acknowledged"}


@pytest.mark.parametrize("method", ["notification_status", "notification_cancel"])
async def test_nothing_can_be_asked_of_what_does_not_exist(desk, method):
    assert await desk.api.error(method, id=NOBODY) == (104, "notification not found")
    assert await desk.api.error(method, id=NOBODY, user="42") == (107, "bad request: user: unknown field")


async def test_in_transport_mode_not_found_is_404(desk):
    response = await desk.api.post("notification_status", {"id": NOBODY}, {"X-Centrifugo-Error-Mode": "transport"})
    assert (response.status_code, response.json()["code"]) == (404, 104)


# Idempotency.


async def test_the_same_request_under_a_key_gets_the_same_ids(desk):
    request = {"users": ["2", "1"], "title": "x", "idempotency_key": "k"}
    first = await desk.api.result("notify", **request)
    assert await desk.api.result("notify", **request) == first
    assert await desk.api.result("notify", **dict(reversed(request.items()))) == first


async def test_another_request_under_a_key_is_refused(desk):
    await desk.notify("42", idempotency_key="k")
    error = (107, "bad request: idempotency_key: was used before with another request")
    assert await desk.api.error("notify", user="42", title="Other", idempotency_key="k") == error
    assert await desk.api.error("notify", user="43", title="Hello", idempotency_key="k") == error
    assert await desk.notify("42", idempotency_key="other")


async def test_a_wrong_request_does_not_take_the_key(desk):
    await desk.api.error("notify", user="42", title="x", ttl_s=-1, idempotency_key="k")
    assert await desk.notify("42", idempotency_key="k")


# Devices.


@pytest.mark.parametrize(
    ("provider", "token", "platform", "masked"),
    [
        ("apns", APNS.upper(), "ios", "012345…"),
        ("fcm", FCM, "android", "dQw4w9…"),
        ("email", "ann.example@mail.example", "email", "a…@mail.example"),
    ],
)
async def test_a_device_is_registered_listed_masked_and_removed(desk, provider, token, platform, masked):
    where = {"locale": "de-DE", "timezone": "Europe/Berlin"}
    id = (await desk.api.result("device_register", user="42", provider=provider, token=token, **where))["id"]
    listed = await desk.api.post("device_list", {"user": "42"})
    now = desk.world.clock.now().timestamp()
    expected = {
        "id": id,
        "user": "42",
        "provider": provider,
        "platform": platform,
        "token": masked,
        "registered_at": now,
        **where,
    }
    assert listed.json() == {"result": {"items": [expected]}}
    assert token not in listed.text
    assert await desk.api.result("device_list", user="43") == {"items": []}
    assert await desk.api.error("device_remove", user="43", id=id) == (104, "device not found")
    assert await desk.api.result("device_remove", user="42", id=id) == {}
    assert await desk.api.result("device_list", user="42") == {"items": []}
    assert await desk.api.error("device_remove", user="42", id=id) == (104, "device not found")


@pytest.mark.parametrize("form", [lambda given: given, lambda given: msgspec.json.encode(given).decode()])
async def test_a_browsers_subscription_is_taken_as_it_is(desk, subscription, form):
    given = {**subscription, "expirationTime": None}
    id = (await desk.api.result("device_register", user="42", provider="webpush", token=form(given)))["id"]
    listed = await desk.api.post("device_list", {"user": "42"})
    (item,) = listed.json()["result"]["items"]
    assert (item["id"], item["provider"], item["platform"], item["token"]) == (id, "webpush", "web", "https:…")
    for secret in (subscription["endpoint"], *subscription["keys"].values()):
        assert secret not in listed.text


async def test_the_same_address_keeps_its_id_and_moves_with_its_user(desk):
    async def register(user, **more):
        return (await desk.api.result("device_register", user=user, provider="fcm", token=FCM, **more))["id"]

    first = await register("42")
    assert await register("42", platform="tv") == first
    assert [item["platform"] for item in (await desk.api.result("device_list", user="42"))["items"]] == ["tv"]
    await register("43")
    assert await desk.api.result("device_list", user="42") == {"items": []}
    assert len((await desk.api.result("device_list", user="43"))["items"]) == 1


REGISTER = {"user": "42", "provider": "fcm", "token": FCM}


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        ({"provider": "fcm", "token": FCM}, "user"),
        ({**REGISTER, "provider": "fax"}, "provider"),
        ({**REGISTER, "token": "two words"}, "token"),
        ({**REGISTER, "token": ""}, "token"),
        ({**REGISTER, "token": 5}, "token"),
        ({**REGISTER, "token": None}, "token"),
        ({**REGISTER, "provider": "apns", "token": "xyz"}, "token"),
        ({**REGISTER, "provider": "email", "token": "no address"}, "token"),
        ({**REGISTER, "provider": "email", "token": "a@b, c@d"}, "token"),
        ({**REGISTER, "provider": "webpush", "token": "{"}, "token"),
        ({**REGISTER, "provider": "webpush", "token": {}}, "token"),
        ({**REGISTER, "provider": "webpush", "token": {"endpoint": "http://a", "keys": {}}}, "token.endpoint"),
        ({**REGISTER, "provider": "webpush", "token": {"endpoint": "https://a", "keys": {}}}, "token.keys.p256dh"),
        ({**REGISTER, "platform": "x" * 33}, "platform"),
        ({**REGISTER, "locale": "\n"}, "locale"),
        ({**REGISTER, "timezone": "Berlin"}, "timezone"),
        ({**REGISTER, "timezone": "../../etc/passwd"}, "timezone"),
        ({**REGISTER, "id": "mine"}, "id"),
        ({**REGISTER, "topics": []}, "topics"),
    ],
)
async def test_a_wrong_device_names_the_field_and_is_not_kept(desk, request_, field):
    code, message = await desk.api.error("device_register", **request_)
    assert code == 107
    assert message.startswith(f"bad request: {field}: ")
    assert await desk.api.result("device_list", user="42") == {"items": []}


@pytest.mark.parametrize(
    ("request_", "name"), [({"user": "42", "token": FCM}, "provider"), ({"user": "42", "provider": "fcm"}, "token")]
)
async def test_a_device_needs_provider_and_token(desk, request_, name):
    code, message = await desk.api.error("device_register", **request_)
    assert (code, message) == (107, f"bad request: {name}: must be given")


async def test_a_token_nested_too_deep_is_refused(desk):
    deep = b"[" * 50_000 + b"]" * 50_000
    response = await desk.api.post("device_register", b'{"user":"42","provider":"webpush","token":%b}' % deep)
    assert response.status_code == 400
    as_text = msgspec.json.encode(deep.decode())
    response = await desk.api.post("device_register", b'{"user":"42","provider":"webpush","token":%b}' % as_text)
    assert response.json()["error"]["code"] == 107


# Preferences.


async def test_preferences_are_set_and_told(desk):
    assert await desk.api.result("preferences_get", user="42") == {"preferences": []}
    words = [
        {"category": "chat", "route": "push", "enabled": False},
        {"category": "*", "route": "email", "enabled": False},
    ]
    told = {"preferences": sorted(words, key=lambda word: word["category"])}
    assert await desk.api.result("preferences_set", user="42", preferences=words) == told
    assert await desk.api.result("preferences_get", user="42") == told
    again = [{"category": "chat", "route": "push", "enabled": True}]
    told["preferences"][1] = again[0]
    assert await desk.api.result("preferences_set", user="42", preferences=again) == told
    assert await desk.api.result("preferences_get", user="43") == {"preferences": []}


WORD = {"category": "chat", "route": "push", "enabled": True}


@pytest.mark.parametrize(
    ("preferences", "message"),
    [
        ([WORD, {**WORD, "route": "fax"}], "preferences[1].route: must be one of live, push, email, sms, webhook or * for all"),
        ([{**WORD, "route": ""}], "preferences[0].route: must be one of live, push, email, sms, webhook or * for all"),
        ([{**WORD, "category": ""}], 'preferences[0].category: must be 1 to 64 characters, or "*" for all'),
        ([{**WORD, "category": "x" * 65}], 'preferences[0].category: must be 1 to 64 characters, or "*" for all'),
        ([{**WORD, "enabled": 1}], "preferences[0].enabled: must be true or false"),
        ([{**WORD, "since": 1}], "preferences[0].since: unknown field"),
        ([{"category": "chat", "route": "push"}], "preferences[0].enabled: must be given"),
        ([], "preferences: must hold at least one preference where nothing else is given"),
    ],
)
async def test_wrong_preferences_change_nothing(desk, preferences, message):
    assert await desk.api.error("preferences_set", user="42", preferences=preferences) == (107, f"bad request: {message}")
    assert await desk.api.result("preferences_get", user="42") == {"preferences": []}


async def test_a_question_needs_a_user(desk):
    assert await desk.api.error("preferences_get") == (107, "bad request: user: must not be empty")
    assert await desk.api.error("device_list") == (107, "bad request: user: must not be empty where there is no filter")


# The store is away.


@pytest.mark.parametrize(
    ("method", "request_"),
    [
        ("notify", {"user": "42", "title": "x"}),
        ("notification_ack", {"user": "42", "id": NOBODY}),
        ("notification_cancel", {"id": NOBODY}),
        ("device_register", REGISTER),
        ("preferences_set", {"user": "42", "preferences": [WORD]}),
    ],
)
async def test_what_cannot_be_stored_is_503_and_says_when_to_come_back(desk, method, request_):
    await desk.store.close()
    response = await desk.api.post(method, request_)
    assert response.status_code == 503
    assert int(response.headers["retry-after"]) >= 1
    assert response.headers["content-type"].startswith("text/plain")
    replies = (await desk.api.post("batch", {"commands": [{method: request_}, {"info": {}}]})).json()["replies"]
    assert replies[0] == {"error": {"code": 100, "message": "internal server error"}}
    assert "info" in replies[1]
