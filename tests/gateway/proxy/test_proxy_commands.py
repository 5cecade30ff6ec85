"""The proxies of subscribe, publish and rpc against a real backend."""

import asyncio
import base64

import pytest

EVENTS = {
    "subscribe": {"subscribe": {"channel": "asked:a"}},
    "publish": {"publish": {"channel": "asked:a", "data": {"n": 1}}},
    "rpc": {"rpc": {"method": "add", "data": {"n": 1}}},
}
INTERNAL = {"code": 100, "message": "internal server error", "temporary": True}


@pytest.fixture(params=EVENTS)
def event(request):
    return request.param


async def test_an_empty_result_grants(proxied, backend, ask, event):
    world = proxied(event)
    [reply] = await ask(world, world.connected(), **EVENTS[event])
    assert reply == {"id": 7, event: {}}


@pytest.mark.parametrize("body", [b"{}", b"null", b'{"result":null}'])
async def test_no_result_grants_too(proxied, backend, ask, event, body):
    world = proxied(event)
    backend.answer(event, body)
    [reply] = await ask(world, world.connected(), **EVENTS[event])
    if body == b"null":
        assert reply["error"] == INTERNAL
    else:
        assert reply == {"id": 7, event: {}}


async def test_an_error(proxied, backend, ask, event):
    """P-74: a subscribe proxy that denies."""
    world = proxied(event)
    backend.answer(event, {"error": {"code": 103, "message": "permission denied"}, "result": {}})
    [reply] = await ask(world, world.connected(), **EVENTS[event])
    assert reply["error"] == {"code": 103, "message": "permission denied"}


async def test_an_error_without_a_text_gets_one(proxied, backend, ask, event):
    world = proxied(event)
    backend.answer(event, {"error": {"code": 1001}})
    [reply] = await ask(world, world.connected(), **EVENTS[event])
    assert reply["error"] == {"code": 1001, "message": "application error"}


async def test_a_disconnect(proxied, backend, ask, event):
    world = proxied(event)
    backend.answer(event, {"disconnect": {"code": 4000, "reason": "come back"}, "error": {"code": 1}})
    client = world.connected()
    assert await ask(world, client, **EVENTS[event]) == []
    assert client.closed == (4000, "come back")


@pytest.mark.parametrize("reason", ["", "null", "123", "a" * 200, "two\nlines"])
async def test_a_reason_is_made_fit_for_a_close_frame(proxied, backend, ask, reason):
    world = proxied("rpc")
    backend.answer("rpc", {"disconnect": {"code": 4000, "reason": reason}})
    client = world.connected()
    await ask(world, client, **EVENTS["rpc"])
    assert client.closed[1] in ("disconnected by the application", "a" * 123)


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (500, b'{"result":{}}'),
        (404, b"not found"),
        (201, b'{"result":{}}'),
        (302, b""),
        (200, b"not json"),
        (200, b""),
        (200, b'{"result":{"b64data":7}}'),
        (200, b'{"result":{"data":"\xff"}}'),
        (200, b'{"result":' + b"[" * 100_000),
        (200, b'{"error":{"code":0}}'),
        (200, b'{"error":{"code":-5}}'),
        (200, b'{"disconnect":{"code":17}}'),
        (200, b'{"result":{},"pad":"' + b"x" * 300_000 + b'"}'),
    ],
)
async def test_an_answer_that_is_none(proxied, backend, ask, event, status, body):
    world = proxied(event)
    backend.answer(event, body, status=status)
    [reply] = await ask(world, world.connected(), **EVENTS[event])
    assert reply["error"] == INTERNAL


async def test_a_redirect_is_not_followed(proxied, backend, ask):
    world = proxied("rpc")
    backend.headers = {"location": f"{backend.url}/publish"}
    backend.answer("rpc", b"", status=307)
    [reply] = await ask(world, world.connected(), **EVENTS["rpc"])
    assert reply["error"] == INTERNAL
    assert backend.bodies("publish") == []


async def test_nobody_listens(proxied, ask, event):
    world = proxied(event, proxy={"endpoint": "http://127.0.0.1:1/"})
    [reply] = await ask(world, world.connected(), **EVENTS[event])
    assert reply["error"] == INTERNAL


async def test_no_answer_in_time(proxied, backend, ask, event):
    backend.hold(event)
    world = proxied(event, proxy={"timeout": "50ms"})
    [reply] = await ask(world, world.connected(), **EVENTS[event])
    assert reply["error"] == INTERNAL


@pytest.mark.parametrize(
    ("transform", "error", "closed"),
    [
        (
            {"to_error": {"code": 404, "message": "gone", "temporary": True}},
            {"code": 404, "message": "gone", "temporary": True},
            None,
        ),
        ({"to_disconnect": {"code": 4504, "reason": "gone for good"}}, None, (4504, "gone for good")),
    ],
)
async def test_a_status_with_a_meaning(proxied, backend, ask, event, transform, error, closed):
    world = proxied(event, proxy={"status_to_code_transforms": [{"status_code": 404, **transform}]})
    backend.answer(event, b"", status=404)
    client = world.connected()
    replies = await ask(world, client, **EVENTS[event])
    assert [reply["error"] for reply in replies] == ([error] if error else [])
    assert client.closed == closed


async def test_who_leaves_meanwhile_gets_nothing(proxied, backend, event):
    backend.hold(event)
    world = proxied(event, options={"history_size": 5, "history_ttl": "60s"})
    client = world.connected()
    client.send({"id": 7, **EVENTS[event]})
    await backend.arrived.wait()
    client.vanish()
    backend.release()
    await world.node.tasks.drain(20)
    assert client.read() == []
    assert world.node.statistics().rooms == 0
    read = await world.engine.history.read("asked:a", since=None, limit=10)
    assert read.publications == (), "what was approved too late was not published"


async def test_meta_travels_on_request(proxied, backend, ask, event):
    world = proxied(event, proxy={"include_connection_meta": True})
    await ask(world, world.connected(meta={"tenant": "a"}), **EVENTS[event])
    [body] = backend.bodies(event)
    assert body["meta"] == {"tenant": "a"}
    assert body["user"] == "42"


async def test_meta_stays_here_otherwise(proxied, backend, ask, event):
    world = proxied(event)
    await ask(world, world.connected(meta={"tenant": "a"}), **EVENTS[event])
    assert "meta" not in backend.bodies(event)[0]


async def test_binary_encoding(proxied, backend, ask):
    world = proxied("rpc", proxy={"binary_encoding": True})
    backend.answer("rpc", {"result": {"b64data": base64.b64encode(b"[2]").decode()}})
    [reply] = await ask(world, world.connected(), **EVENTS["rpc"])
    [body] = backend.bodies("rpc")
    assert body["encoding"] == "binary"
    assert base64.b64decode(body["b64data"]) == b'{"n": 1}'
    assert "data" not in body
    assert reply["rpc"] == {"data": [2]}


async def test_an_anonymous_user_is_named_too(proxied, backend, ask, event):
    world = proxied(event, client={"allow_anonymous_connect_without_token": True})
    client = world.client()
    client.connect()
    await ask(world, client, **EVENTS[event])
    assert backend.bodies(event)[0]["user"] == ""


# Headers


async def test_nothing_is_forwarded_by_default(proxied, backend, ask):
    world = proxied("rpc")
    client = world.client({"cookie": "a=b", "x-tenant": "http"})
    client.connect(token=world.token(), headers={"X-Tenant": "emulated"})
    await ask(world, client, **EVENTS["rpc"])
    headers = backend.asked[0].headers
    assert headers["content-type"] == "application/json"
    assert set(headers) <= {"host", "content-type", "content-length", "accept", "accept-encoding", "user-agent"}


@pytest.mark.parametrize(
    ("http", "emulated", "seen"),
    [
        ({"x-tenant": "http"}, {"X-Tenant": "emulated"}, "http"),
        ({}, {"X-TENANT": "emulated"}, "emulated"),
        ({}, {}, "static"),
        ({}, {"x-tenant": "evil\r\nX-Admin: yes"}, "static"),
    ],
)
async def test_which_header_wins(proxied, backend, ask, http, emulated, seen):
    proxy = {
        "static_headers": {"X-Tenant": "static", "Authorization": "Bearer of-ours"},
        "emulated_headers": ["x-Tenant"],
        "http_headers": ["X-tenant"],
    }
    world = proxied("rpc", proxy=proxy)
    client = world.client({**http, "x-other": "1"})
    client.connect(token=world.token(), headers={**emulated, "X-Other": "2"})
    await ask(world, client, **EVENTS["rpc"])
    headers = backend.asked[0].headers
    assert headers["x-tenant"] == seen
    assert headers["authorization"] == "Bearer of-ours"
    assert "x-other" not in headers
    assert "x-admin" not in headers
    assert set(client.session.client.emulated_headers) <= {"x-tenant"}, "only what a proxy passes on is kept"


# Subscribe


async def test_what_the_backend_gives_a_subscription(proxied, backend, ask):
    world = proxied("subscribe", options={"presence": True, "allow_presence_for_subscriber": True})
    backend.answer("subscribe", {"result": {"info": {"role": "x"}, "data": {"d": 1}, "expire_at": world.now() + 30}})
    client = world.connected()
    [reply] = await ask(world, client, subscribe={"channel": "asked:a", "data": {"pin": 1}})
    assert backend.bodies("subscribe")[0] | {"client": ""} == {
        "client": "",
        "transport": "websocket",
        "protocol": "json",
        "encoding": "json",
        "user": "42",
        "channel": "asked:a",
        "data": {"pin": 1},
    }
    assert reply["subscribe"] == {"expires": True, "ttl": 30, "data": {"d": 1}}
    [presence] = await ask(world, client, presence={"channel": "asked:a"})
    [info] = presence["presence"]["presence"].values()
    assert info["chan_info"] == {"role": "x"}


async def test_an_expiry_in_the_past(proxied, backend, ask):
    world = proxied("subscribe")
    backend.answer("subscribe", {"result": {"expire_at": world.now()}})
    client = world.connected()
    [reply] = await ask(world, client, subscribe={"channel": "asked:a"})
    assert reply["error"]["code"] == 110
    assert not client.session.client.subscribing


async def test_tokens_and_listed_users_need_no_backend(proxied, backend, ask):
    world = proxied("subscribe", options={"allow_user_limited_channels": True})
    client = world.connected()
    token = world.token(channel="asked:a")
    assert (await ask(world, client, subscribe={"channel": "asked:a", "token": token}))[0]["subscribe"] == {}
    assert (await ask(world, client, subscribe={"channel": "asked:b#42"}))[0]["subscribe"] == {}
    assert (await ask(world, client, subscribe={"channel": "asked:b#43"}))[0]["error"]["code"] == 103
    assert (await ask(world, client, subscribe={"channel": "$asked:c"}))[0]["error"]["code"] == 103
    assert backend.asked == []


async def test_subs_of_connect_do_not_pass_by_the_backend(proxied, backend):
    world = proxied("subscribe", options={"allow_subscribe_for_client": True})
    assert set(world.client().connect(token=world.token(), subs={"asked:a": {}})["subs"]) == {"#42"}


async def test_a_refused_subscription_can_be_tried_again(proxied, backend, ask):
    world = proxied("subscribe")
    client = world.connected()
    backend.answer("subscribe", {"error": {"code": 103, "message": "no"}})
    await ask(world, client, subscribe={"channel": "asked:a"})
    backend.answer("subscribe", {"result": {}})
    assert (await ask(world, client, subscribe={"channel": "asked:a"}))[0]["subscribe"] == {}


# Publish


async def test_what_the_backend_makes_of_a_publication(proxied, backend, ask):
    world = proxied("publish", options={"history_size": 5, "history_ttl": "60s"})
    backend.answer("publish", {"result": {"data": {"n": 2}, "tags": {"a": "b"}, "idempotency_key": "k"}})
    client = world.connected(channels=["asked:a"])
    replies = await ask(world, client, **EVENTS["publish"])
    replies += await ask(world, client, **EVENTS["publish"])
    [push] = [reply["push"] for reply in replies if "push" in reply]
    assert push["pub"]["data"] == {"n": 2}
    assert push["pub"]["tags"] == {"a": "b"}
    assert push["pub"]["info"]["user"] == "42"
    assert push["pub"]["offset"] == 1


async def test_history_can_be_skipped(proxied, backend, ask):
    world = proxied("publish", options={"history_size": 5, "history_ttl": "60s"})
    backend.answer("publish", {"result": {"skip_history": True}})
    await ask(world, world.connected(), **EVENTS["publish"])
    assert (await world.engine.history.read("asked:a", since=None, limit=5)).publications == ()


async def test_the_backend_keeps_to_the_format_of_the_channel(proxied, backend, ask):
    world = proxied("publish", options={"publication_data_format": "json_object"})
    backend.answer("publish", {"result": {"data": [1]}})
    [reply] = await ask(world, world.connected(), **EVENTS["publish"])
    assert reply["error"] == INTERNAL


async def test_bad_data_does_not_reach_the_backend(proxied, backend, ask):
    world = proxied("publish")
    [reply] = await ask(world, world.connected(), publish={"channel": "asked:a"})
    assert reply["error"]["code"] == 107
    assert backend.asked == []


# RPC


async def test_an_answer_reaches_the_caller(proxied, backend, ask):
    world = proxied("rpc")
    backend.answer("rpc", b'{"result":{"data":{"sum":12345678901234567890.10}}}')
    client = world.connected()
    client.send({"id": 7, **EVENTS["rpc"]})
    await world.node.tasks.drain(20)
    world.node.turn.flush()
    assert b'{"sum":12345678901234567890.10}' in client.transport.written, "payloads are passed on as they are"
    assert backend.bodies("rpc")[0]["method"] == "add"


@pytest.mark.parametrize(
    ("method", "code"),
    [("open:x", None), ("closed:x", 108), ("nowhere:x", 104), ("plain", None)],
)
async def test_namespaces_of_methods(proxied, backend, ask, method, code):
    world = proxied("rpc", rpc={"namespaces": [{"name": "open"}, {"name": "closed", "proxy_enabled": False}]})
    [reply] = await ask(world, world.connected(), rpc={"method": method})
    assert reply.get("error", {}).get("code") == code
    assert len(backend.asked) == (code is None)


async def test_built_in_methods_stay_ours(proxied, backend, ask):
    world = proxied("rpc", rpc={"ping": {"enabled": True}})
    [reply] = await ask(world, world.connected(), rpc={"method": "ping"})
    assert reply["rpc"] == {}
    assert backend.asked == []


# The breaker


async def test_a_backend_that_is_down_is_left_alone_and_tried_again(proxied, backend, ask):  # L-10
    world = proxied("rpc")
    client = world.connected()
    backend.answer("rpc", b"", status=503)
    for _ in range(25):
        [reply] = await ask(world, client, **EVENTS["rpc"])
        assert reply["error"] == INTERNAL
    assert len(backend.asked) == 20, "from then on nobody is asked, and the answer is the same"
    [asked] = world.node.proxies.backends
    assert (asked.state.value, asked.last.error, asked.last.failing_since is not None) == ("open", "answered 503", True)
    backend.answer("rpc", {"result": {}})
    [reply] = await ask(world, client, **EVENTS["rpc"])
    assert reply["error"] == INTERNAL
    world.clock.move(6)
    for _ in range(6):
        [reply] = await ask(world, client, **EVENTS["rpc"])
        assert reply == {"id": 7, "rpc": {}}
    assert len(backend.asked) == 26
    assert (asked.state.value, asked.last.error, asked.last.failing_since) == ("closed", "answered 503", None)


async def test_refusals_do_not_open_the_breaker(proxied, backend, ask):
    world = proxied("rpc")
    client = world.connected()
    backend.answer("rpc", b"", status=404)
    for _ in range(30):
        await ask(world, client, **EVENTS["rpc"])
    assert len(backend.asked) == 30


async def test_commands_of_one_client_stay_in_order(proxied, backend):
    backend.hold("rpc")
    world = proxied("rpc", rpc={"ping": {"enabled": True}})
    client = world.connected()
    client.send({"id": 2, **EVENTS["rpc"]}, {"id": 3, "rpc": {"method": "ping"}})
    await backend.arrived.wait()
    assert client.read() == []
    backend.release()
    await asyncio.wait_for(world.node.tasks.drain(20), 20)
    assert [reply["id"] for reply in client.read()] == [2, 3]
