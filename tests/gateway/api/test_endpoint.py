"""The HTTP side of the API: who may call, what is refused in which order, and how an answer looks."""

import json

import httpx
import pytest

KEY = "key-of-the-tests"


async def ask(api, method="POST", path="/api/info", **options):
    options.setdefault("headers", {"X-API-Key": KEY})
    options.setdefault("content", b"{}")
    return await api.http.request(method, path, **options)


@pytest.mark.parametrize(
    ("headers", "query", "status"),
    [
        ({"X-API-Key": KEY}, "", 200),
        ({"x-api-key": KEY}, "", 200),
        ({"Authorization": f"apikey {KEY}"}, "", 200),
        ({"Authorization": f"ApiKey {KEY}"}, "", 200),
        ({}, f"?api_key={KEY}", 200),
        ({"X-API-Key": "wrong"}, f"?api_key={KEY}", 200),
        ({"X-API-Key": KEY, "Authorization": "apikey wrong"}, "", 200),
        # The second header counts only where the first is absent.
        ({"X-API-Key": "wrong", "Authorization": f"apikey {KEY}"}, "", 401),
        ({"X-API-Key": "", "Authorization": f"apikey {KEY}"}, "", 401),
        ({"Authorization": f"Bearer {KEY}"}, "", 401),
        ({"Authorization": KEY}, "", 401),
        ({"X-API-Key": KEY + "x"}, "", 401),
        ({"X-API-Key": KEY[:-1]}, "", 401),
        ({"X-API-Key": ""}, "", 401),
        ({}, "?api_key=", 401),
        ({}, f"?xapi_key={KEY}", 401),
        ({}, "", 401),
    ],
)
async def test_keys(world, api, headers, query, status):
    response = await ask(api(world()), path=f"/api/info{query}", headers=headers)
    assert response.status_code == status
    if status == 401:
        assert response.content == b""


async def test_without_a_configured_key_nobody_gets_in(world, api):
    opened = api(world(http_api={"keys": []}))
    for headers in ({}, {"X-API-Key": ""}, {"X-API-Key": KEY}, {"Authorization": "apikey "}):
        assert (await ask(opened, headers=headers)).status_code == 401
    assert (await ask(opened, path="/api/info?api_key=", headers={})).status_code == 401


async def test_every_configured_key_opens(world, api):
    opened = api(world(http_api={"keys": ["one", "two"]}))
    for key in ("one", "two"):
        assert (await ask(opened, headers={"X-API-Key": key})).status_code == 200


async def test_insecure_asks_nobody(world, api):
    assert (await ask(api(world(http_api={"insecure": True})), headers={})).status_code == 200


@pytest.mark.parametrize(
    "path", ["/api/nothing", "/api/", "/api/info/", "/api/Info", "/api/info/more", "/api/../api/send_push_notification"]
)
async def test_unknown_methods_are_404_in_plain_text(world, api, path):
    response = await ask(api(world()), path=path)
    assert response.status_code == 404
    assert response.headers["content-type"].startswith("text/plain")


async def test_refusals_come_in_their_order(world, api):
    opened = api(world(http_api={"keys": [KEY], "body_size_limit": 1024}))
    wrong = {"headers": {"X-API-Key": "wrong"}, "content": b"x" * 2000}
    assert (await ask(opened, "GET", "/api/nothing", **wrong)).status_code == 404
    response = await ask(opened, "GET", "/api/info", **wrong)
    assert (response.status_code, response.headers["allow"]) == (405, "POST")
    assert (await ask(opened, "POST", "/api/info", **wrong)).status_code == 401
    assert (await ask(opened, "POST", "/api/info", content=b"x" * 2000)).status_code == 413
    assert (await ask(opened, "POST", "/api/info", content=b"x" * 1000)).status_code == 400
    assert (await ask(opened, "POST", "/api/info")).status_code == 200


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"nonsense",
        b"[]",
        b"5",
        b"null",
        b'{"channel":',
        b'{"channel":"a","data":1}x',
        b"\xff",
        b'{"channel":"\xff","data":1}',
        b'{"channel":5,"data":1}',
        b'{"channel":"a","data":1,"tags":{"a":1}}',
        b'{"channel":"a","data":1,"skip_history":1}',
        b'{"channel":"a","data":1,"version":"1"}',
        b'{"channel":"a","data":"\\ud800","tags":{"\\ud800":"x"}}',
        b'{"channel":"a","data":' + b"[" * 50_000 + b"]" * 50_000 + b"}",
        b'{"channel":"a","version":' + b"9" * 5000 + b"}",
    ],
)
async def test_bodies_that_cannot_be_read_are_400_in_plain_text(world, api, body):
    response = await api(world()).post("publish", body)
    assert response.status_code == 400
    assert response.headers["content-type"].startswith("text/plain")
    assert response.text.startswith("bad request: ")


async def test_invalid_utf8_inside_data_is_refused(world, api):
    response = await api(world()).post("publish", b'{"channel":"a","data":"\xff"}')
    assert response.status_code == 400


@pytest.mark.parametrize("content_type", ["text/plain", "application/json", "application/x-www-form-urlencoded", ""])
async def test_the_content_type_is_not_looked_at(world, api, content_type):
    response = await api(world()).post("publish", {"channel": "a", "data": 1}, {"Content-Type": content_type})
    assert response.json() == {"result": {}}


async def test_an_error_is_200_or_a_status_where_asked(world, api):
    request = {"channel": "nowhere:a", "data": 1}
    opened = api(world())
    response = await opened.post("publish", request)
    assert response.status_code == 200
    assert response.json() == {"error": {"code": 102, "message": "unknown channel"}}
    response = await opened.post("publish", request, {"X-Centrifugo-Error-Mode": "transport"})
    assert response.status_code == 404
    assert response.json() == {"code": 102, "message": "unknown channel"}
    response = await opened.post("publish", request, {"X-Centrifugo-Error-Mode": "other"})
    assert response.status_code == 200


@pytest.mark.parametrize(
    ("method", "request_", "status", "code"),
    [
        ("publish", {"channel": "nowhere:a", "data": 1}, 404, 102),
        ("publish", {"channel": "a"}, 400, 107),
        ("presence", {"channel": "a"}, 400, 108),
        ("history", {"channel": "kept:a", "limit": 1, "since": {"offset": 1, "epoch": "other"}}, 416, 112),
    ],
)
async def test_transport_mode_by_settings(world, api, method, request_, status, code):
    kept = {"name": "kept", "history_size": 5, "history_ttl": "60s"}
    opened = api(world(http_api={"keys": [KEY], "error_mode": "transport"}, channel={"namespaces": [kept]}))
    response = await opened.post(method, request_)
    assert (response.status_code, response.json()["code"]) == (status, code)
    assert response.headers["content-type"] == "application/json"


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"X-Request-ID": "abc-1"}, "abc-1"),
        ({"X-Request-ID": "x" * 128}, "x" * 128),
        ({"traceparent": f"00-{'a1' * 16}-{'b' * 16}-01"}, "a1" * 16),
        ({"X-Request-ID": "mine", "traceparent": f"00-{'a1' * 16}-{'b' * 16}-01"}, "mine"),
        ({"X-Request-ID": "two words", "traceparent": f"00-{'a1' * 16}-{'b' * 16}-01"}, "a1" * 16),
    ],
)
async def test_correlation_ids_are_given_back(world, api, headers, expected):
    response = await api(world()).post("info", {}, headers)
    assert response.headers["x-request-id"] == expected


@pytest.mark.parametrize(
    "headers",
    [{}, {"X-Request-ID": "x" * 129}, {"X-Request-ID": ""}, {"X-Request-ID": "tab\there"}, {"traceparent": "00-zz-b-01"}],
)
async def test_a_correlation_id_is_made_where_none_can_be_taken(world, api, headers):
    opened = api(world())
    ids = {(await opened.post("info", {}, headers)).headers["x-request-id"] for _ in range(2)}
    assert len(ids) == 2
    assert all(len(made) == 16 and made.isalnum() for made in ids)


async def test_refusals_have_a_correlation_id_too(world, api):
    response = await ask(api(world()), headers={"X-Request-ID": "abc"}, path="/api/info")
    assert (response.status_code, response.headers["x-request-id"]) == (401, "abc")


async def _in_pieces(*pieces):
    for piece in pieces:
        yield piece


@pytest.mark.parametrize("pieces", [[b"x" * 1025], [b"{}", b" " * 1023], [b" " * 600, b" " * 600, b"{}"]])
async def test_the_limit_holds_without_a_content_length(world, api, pieces):
    opened = api(world(http_api={"keys": [KEY], "body_size_limit": 1024}))
    response = await ask(opened, content=_in_pieces(*pieces))
    assert response.status_code == 413
    assert "1024" in response.text


async def test_a_body_in_pieces_is_put_together(world, api):
    response = await ask(api(world()), path="/api/publish", content=_in_pieces(b'{"chan', b'nel":"a",', b'"data":1}'))
    assert response.json() == {"result": {}}


async def test_a_batch_of_a_thousand_publications_of_a_kilobyte_passes(world, api):
    command = {"publish": {"channel": "a", "data": {"text": "x" * 1024}}}
    response = await api(world()).post("batch", {"commands": [command] * 1000})
    assert response.json() == {"replies": [{"publish": {}}] * 1000}


async def test_whoever_leaves_while_sending_has_asked_nothing(world, api):
    made = world()
    sent = []
    messages = iter([{"type": "http.request", "body": b"{}", "more_body": True}, {"type": "http.disconnect"}])

    async def receive():
        return next(messages)

    async def send(message):
        sent.append(message)

    scope = {
        "type": "http",
        "path": "/api/disconnect",
        "method": "POST",
        "query_string": b"",
        "headers": [(b"x-api-key", KEY.encode())],
    }
    client = made.connected("")
    await api(made).app(scope, receive, send)
    assert client.closed is None


async def test_an_error_of_ours_says_nothing_of_itself(world, api):
    from gateway.api.messages import EmptyRequest
    from gateway.api.method import Method

    async def broken(_request):
        raise ZeroDivisionError("secret detail")

    response = await api(world(), [Method("broken", EmptyRequest, broken)]).post("broken", {})
    assert response.json() == {"error": {"code": 100, "message": "internal server error"}}


async def test_an_engine_that_does_not_answer_is_error_100(world, api):
    from broker.errors import EngineUnavailable
    from gateway.api.messages import EmptyRequest
    from gateway.api.method import Method

    async def away(_request):
        raise EngineUnavailable("redis did not answer")

    opened = api(world(), [Method("away", EmptyRequest, away)])
    assert (await opened.post("away", {})).json() == {"error": {"code": 100, "message": "internal server error"}}
    assert (await opened.post("away", {}, {"X-Centrifugo-Error-Mode": "transport"})).status_code == 503


async def test_answers_are_json_with_their_length(world, api):
    response = await api(world()).post("info", {})
    assert response.headers["content-type"] == "application/json"
    assert int(response.headers["content-length"]) == len(response.content)
    assert isinstance(response, httpx.Response)
    assert json.loads(response.content)["result"]["nodes"]
