"""The connect proxy against a real backend: who is let in, and what each kind of answer means."""

import asyncio
import base64

import pytest


async def connect(world, ask, **request):
    client = world.client()
    return client, await ask(world, client, connect=request)


async def test_the_backend_says_who_connects(proxied, backend, ask):
    """P-73: the user."""
    backend.answer("connect", {"result": {"user": "42", "info": {"name": "Ada"}, "data": {"hello": 1}}})
    world = proxied("connect")
    client, [reply] = await connect(world, ask, data={"key": "k"}, name="js", version="1", subs={"asked:a": {}})
    [body] = backend.bodies("connect")
    assert body == {
        "client": reply["connect"]["client"],
        "transport": "websocket",
        "protocol": "json",
        "encoding": "json",
        "data": {"key": "k"},
        "name": "js",
        "version": "1",
        "channels": ["asked:a"],
    }
    assert reply["connect"]["data"] == {"hello": 1}
    assert set(reply["connect"]["subs"]) == {"#42"}, "a backend that says who comes also says into which channels"
    assert client.session.client.conn_info == b'{"name": "Ada"}'


async def test_a_token_needs_no_backend(proxied, backend):
    world = proxied("connect")
    assert world.client().connect(token=world.token("42"))["subs"] == {"#42": {}}
    assert backend.asked == []


async def test_the_backends_subscriptions(proxied, backend, ask):
    world = proxied("connect", options={"history_size": 5, "history_ttl": "60s"})
    subs = {
        "asked:b": {"data": {"n": 1}, "expire_at": world.now() + 90, "override": {"force_recovery": {"value": True}}},
        "asked:c": None,
    }
    backend.answer("connect", {"result": {"user": "42", "channels": ["asked:a"], "subs": subs}})
    _, [reply] = await connect(world, ask)
    given = reply["connect"]["subs"]
    assert set(given) == {"#42", "asked:a", "asked:b", "asked:c"}
    assert given["asked:b"]["data"] == {"n": 1}
    assert given["asked:b"]["recoverable"] is True
    assert (given["asked:b"]["expires"], given["asked:b"]["ttl"]) == (True, 90)
    assert "expires" not in given["asked:a"]


async def test_a_servers_subscription_that_expires_ends_the_connection(proxied, backend, ask):
    world = proxied("connect")
    backend.answer("connect", {"result": {"user": "42", "subs": {"asked:a": {"expire_at": world.now() + 5}}}})
    client, _ = await connect(world, ask)
    world.node._pings = None  # pongs are not this test's matter
    world.pass_time(29)
    assert client.closed is None
    world.pass_time(2)
    assert client.closed == (3006, "subscription expired")


async def test_an_unknown_namespace_in_the_result(proxied, backend, ask):
    backend.answer("connect", {"result": {"user": "42", "channels": ["nowhere:a"]}})
    _, [reply] = await connect(proxied("connect"), ask)
    assert reply["error"]["code"] == 102


async def test_expiry_is_told_where_nobody_else_renews(proxied, backend, ask):
    world = proxied("connect")
    backend.answer("connect", {"result": {"user": "42", "expire_at": world.now() + 60}})
    _, [reply] = await connect(world, ask)
    assert (reply["connect"]["expires"], reply["connect"]["ttl"]) == (True, 60)


async def test_expiry_is_not_told_where_the_server_renews(proxied, backend, ask):
    world = proxied("connect", "refresh")
    backend.answer("connect", {"result": {"user": "42", "expire_at": world.now() + 60}})
    _, [reply] = await connect(world, ask)
    assert "expires" not in reply["connect"]
    assert "ttl" not in reply["connect"]


async def test_an_expiry_in_the_past(proxied, backend, ask):
    world = proxied("connect")
    backend.answer("connect", {"result": {"user": "42", "expire_at": world.now()}})
    _, [reply] = await connect(world, ask)
    assert reply["error"]["code"] == 110


async def test_the_backends_error(proxied, backend, ask):
    """P-73: an error."""
    backend.answer("connect", {"error": {"code": 1000, "message": "no seats", "temporary": True}})
    _, [reply] = await connect(proxied("connect"), ask)
    assert reply["error"] == {"code": 1000, "message": "no seats", "temporary": True}


async def test_the_backends_disconnect_comes_before_all_else(proxied, backend, ask):
    """P-73: a disconnect."""
    answer = {"disconnect": {"code": 4501, "reason": "banned"}, "error": {"code": 1000}, "result": {"user": "42"}}
    backend.answer("connect", answer)
    client, replies = await connect(proxied("connect"), ask)
    assert replies == []
    assert client.closed == (4501, "banned")


@pytest.mark.parametrize("anonymous", [True, False])
async def test_no_result_means_no_credentials(proxied, backend, ask, anonymous):
    backend.answer("connect", {})
    world = proxied("connect", client={"allow_anonymous_connect_without_token": anonymous})
    client, replies = await connect(world, ask)
    if anonymous:
        assert replies[0]["connect"]["client"]
    else:
        assert client.closed == (3501, "bad request")


async def test_a_payload_that_is_no_base64(proxied, backend, ask):
    backend.answer("connect", {"result": {"user": "42", "b64data": "%%%"}})
    _, [reply] = await connect(proxied("connect"), ask)
    assert reply["error"] == {"code": 100, "message": "internal server error", "temporary": True}


async def test_base64_wins(proxied, backend, ask):
    data = base64.b64encode(b'{"from":"b64"}').decode()
    backend.answer("connect", {"result": {"user": "42", "data": {"from": "json"}, "b64data": data}})
    _, [reply] = await connect(proxied("connect"), ask)
    assert reply["connect"]["data"] == {"from": "b64"}


async def test_info_that_is_no_json_for_others(proxied, backend, ask):
    backend.answer("connect", {"result": {"user": "42", "b64info": base64.b64encode(b"not json").decode()}})
    _, [reply] = await connect(proxied("connect"), ask)
    assert reply["error"]["code"] == 100


async def test_data_that_a_json_client_cannot_take(proxied, backend, ask):
    backend.answer("connect", {"result": {"user": "42", "b64data": base64.b64encode(b"\xff").decode()}})
    client, _ = await connect(proxied("connect"), ask)
    assert client.closed == (3506, "inappropriate protocol")


async def test_a_payload_with_line_ends_stays_one_message(proxied, backend, ask):
    backend.answer("connect", b'{"result":{"user":"42","data":{\n"a":\r\n1}}}')
    _, [reply] = await connect(proxied("connect"), ask)
    assert reply["connect"]["data"] == {"a": 1}


async def test_the_rest_of_the_frame_waits_for_the_backend(proxied, backend):
    backend.answer("connect", {"result": {"user": "42"}})
    world = proxied("connect", options={"allow_subscribe_for_client": True})
    client = world.client()
    client.send({"id": 1, "connect": {}}, {"id": 2, "subscribe": {"channel": "asked:a"}})
    await world.node.tasks.drain(20)
    assert [reply["id"] for reply in client.read()] == [1, 2]


async def test_who_leaves_meanwhile_leaves_nothing_behind(proxied, backend):
    backend.hold("connect")
    backend.answer("connect", {"result": {"user": "42", "channels": ["asked:a"]}})
    world = proxied("connect")
    client = world.client()
    client.send({"id": 1, "connect": {}})
    await backend.arrived.wait()
    client.vanish()
    backend.release()
    await world.node.tasks.drain(20)
    assert client.read() == []
    statistics = world.node.statistics()
    assert (statistics.clients, statistics.rooms, statistics.transports) == (0, 0, 0)


async def test_who_goes_stale_meanwhile_stays_out(proxied, backend):
    backend.hold("connect")
    backend.answer("connect", {"result": {"user": "42"}})
    world = proxied("connect")
    client = world.client()
    client.send({"id": 1, "connect": {}})
    await backend.arrived.wait()
    world.pass_time(11)
    assert client.closed == (3502, "stale")
    backend.release()
    await world.node.tasks.drain(20)
    assert world.node.statistics().clients == 0


async def test_a_slow_answer_keeps_nobody_else_waiting(proxied, backend, ask):
    backend.hold("connect")
    world = proxied("connect", "rpc")
    world.client().send({"id": 1, "connect": {}})
    await backend.arrived.wait()
    other = world.connected("43")
    other.send({"id": 2, "rpc": {"method": "m"}})
    [answering] = [task for task in asyncio.all_tasks() if task.get_name() == "command.rpc"]
    await answering
    assert other.read() == [{"id": 2, "rpc": {}}]
