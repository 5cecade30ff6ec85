"""Rights that the backend gives: `caps` at connect and refresh, `allow` with a subscription; and `cache_recover`."""

import pytest

OPTIONS = {"presence": True, "history_size": 5, "history_ttl": "60s"}
INTERNAL = {"code": 100, "message": "internal server error", "temporary": True}
GUARD_S = 20


def caps(*channels, allow):
    return [{"channels": list(channels), "allow": allow}]


def code(replies):
    return next(reply for reply in replies if reply.get("id") == 7).get("error", {}).get("code")


async def connected(world, ask):
    client = world.client()
    [reply] = await ask(world, client, connect={})
    assert "connect" in reply, reply
    return client


async def expire(world, seconds):
    world.node._pings = None
    world.pass_time(seconds)
    await world.node.tasks.drain(GUARD_S)


async def test_capabilities_of_the_connect_result(proxied, backend, ask):
    world = proxied("connect", options=OPTIONS)
    backend.answer("connect", {"result": {"user": "42", "caps": caps("asked:a", allow=["sub", "pub"])}})
    client = await connected(world, ask)
    assert code(await ask(world, client, subscribe={"channel": "asked:a"})) is None
    assert code(await ask(world, client, publish={"channel": "asked:a", "data": 1})) is None
    assert code(await ask(world, client, history={"channel": "asked:a"})) == 103


@pytest.mark.parametrize("bad", [caps("a", allow=["all"]), [{"channels": ["("], "match": "regex"}], "x", [1], {"a": 1}])
async def test_bad_capabilities_are_a_bad_answer(proxied, backend, ask, bad):
    world = proxied("connect", "subscribe")
    backend.answer("connect", {"result": {"user": "42", "caps": bad}})
    [reply] = await ask(world, world.client(), connect={})
    assert reply["error"] == INTERNAL


async def test_a_refresh_says_anew_what_the_rights_are(proxied, backend, ask):
    world = proxied("connect", "refresh", options=OPTIONS)
    result = {"user": "42", "expire_at": world.now() + 60, "caps": caps("asked:a", "asked:b", allow=["sub", "pub"])}
    backend.answer("connect", {"result": result})
    client = await connected(world, ask)
    for channel in ("asked:a", "asked:b"):
        await ask(world, client, subscribe={"channel": channel})
    renewed = {"expire_at": world.now() + 300, "caps": caps("asked:b", allow=["sub", "hst"])}
    backend.answer("refresh", {"result": renewed})
    await expire(world, 61)
    [push] = client.read()
    assert push["push"] == {"channel": "asked:a", "unsubscribe": {"code": 2502, "reason": "state invalidated"}}
    assert code(await ask(world, client, history={"channel": "asked:b"})) is None
    assert code(await ask(world, client, publish={"channel": "asked:b", "data": 1})) == 103


async def test_a_refresh_that_names_none_withdraws_all(proxied, backend, ask):
    world = proxied("connect", "refresh", options=OPTIONS)
    result = {"user": "42", "expire_at": world.now() + 60, "caps": caps("asked:a", allow=["pub"])}
    backend.answer("connect", {"result": result})
    client = await connected(world, ask)
    backend.answer("refresh", {"result": {"expire_at": world.now() + 300}})
    await expire(world, 61)
    assert code(await ask(world, client, publish={"channel": "asked:a", "data": 1})) == 103


async def test_a_backend_that_is_down_withdraws_nothing(proxied, backend, ask):  # L-10
    world = proxied("connect", "refresh", options=OPTIONS)
    result = {"user": "42", "expire_at": world.now() + 60, "caps": caps("asked:a", allow=["sub", "pub"])}
    backend.answer("connect", {"result": result})
    client = await connected(world, ask)
    await ask(world, client, subscribe={"channel": "asked:a"})
    backend.answer("refresh", b"", status=500)
    await expire(world, 61)
    assert client.read() == []
    assert code(await ask(world, client, publish={"channel": "asked:a", "data": 1})) is None


async def test_bad_capabilities_of_a_refresh_end_the_connection(proxied, backend, ask):
    world = proxied("connect", "refresh")
    backend.answer("connect", {"result": {"user": "42", "expire_at": world.now() + 60}})
    client = await connected(world, ask)
    backend.answer("refresh", {"result": {"caps": caps("a", allow=["all"])}})
    await expire(world, 61)
    assert client.closed == (3004, "internal server error")


async def test_a_renewal_of_a_subscription_knows_no_capabilities(proxied, backend):
    world = proxied("sub_refresh")
    client = world.connected()
    client.send({"id": 2, "subscribe": {"channel": "asked:a", "token": world.token(channel="asked:a", exp=world.now() + 60)}})
    backend.answer("sub_refresh", {"result": {"caps": "anything at all", "meta": 1}})
    await expire(world, 61)
    assert "asked:a" in client.session.client.subscriptions


# `allow` of the subscribe proxy


async def test_rights_that_come_with_a_subscription(proxied, backend, ask):
    world = proxied("subscribe", options=OPTIONS)
    backend.answer("subscribe", {"result": {"allow": ["pub", "hst"]}})
    client = world.connected()
    [reply] = await ask(world, client, subscribe={"channel": "asked:a", "recoverable": True})
    assert reply["subscribe"]["recoverable"]
    assert code(await ask(world, client, publish={"channel": "asked:a", "data": 1})) is None
    assert code(await ask(world, client, history={"channel": "asked:a"})) is None
    assert code(await ask(world, client, presence={"channel": "asked:a"})) == 103
    assert code(await ask(world, client, publish={"channel": "asked:b", "data": 1})) == 103
    await ask(world, client, unsubscribe={"channel": "asked:a"})
    assert code(await ask(world, client, publish={"channel": "asked:a", "data": 1})) == 103


@pytest.mark.parametrize("bad", [["read"], "pub", [1]])
async def test_a_bad_allow_is_a_bad_answer(proxied, backend, ask, bad):
    world = proxied("subscribe")
    backend.answer("subscribe", {"result": {"allow": bad}})
    [reply] = await ask(world, world.connected(), subscribe={"channel": "asked:a"})
    assert reply["error"] == INTERNAL


async def test_the_backend_decides_whatever_the_capabilities(proxied, backend, ask):
    world = proxied("subscribe", "publish")
    denied = {"error": {"code": 103, "message": "permission denied"}}
    backend.answer("subscribe", denied)
    backend.answer("publish", denied)
    client = world.connected(caps=caps("asked:a", allow=["sub", "pub"]))
    assert code(await ask(world, client, subscribe={"channel": "asked:a"})) == 103
    assert code(await ask(world, client, publish={"channel": "asked:a", "data": 1})) == 103


# `cache_recover` of the connect result


CACHE = {"history_size": 5, "history_ttl": "60s", "force_recovery": True, "force_recovery_mode": "cache"}


@pytest.mark.parametrize(
    ("options", "asks", "newest"),
    [
        (CACHE, True, [{"n": 2}]),
        (CACHE, False, []),
        ({**CACHE, "auto_cache_recover": True}, False, [{"n": 2}]),
        ({**CACHE, "force_recovery_mode": "stream"}, True, []),
        ({"history_size": 5, "history_ttl": "60s"}, True, []),
        ({}, True, []),
    ],
)
async def test_a_subscription_begins_with_the_newest(proxied, backend, ask, api, options, asks, newest):
    world = proxied("connect", options=options)
    for number in (1, 2):
        await api(world).result("publish", channel="asked:a", data={"n": number})
    backend.answer("connect", {"result": {"user": "42", "subs": {"asked:a": {"cache_recover": asks}}}})
    [reply] = await ask(world, world.client(), connect={})
    subscription = reply["connect"]["subs"]["asked:a"]
    assert [entry["data"] for entry in subscription.get("publications", [])] == newest
    assert subscription.get("recovered", False) is bool(newest)
    assert subscription.get("was_recovering", False) is bool(newest)


async def test_an_override_counts_for_it(proxied, backend, ask, api):
    options = {"history_size": 5, "history_ttl": "60s", "force_recovery_mode": "cache"}
    world = proxied("connect", options=options)
    await api(world).result("publish", channel="asked:a", data=1)
    override = {"force_recovery": {"value": True}}
    backend.answer("connect", {"result": {"user": "42", "subs": {"asked:a": {"cache_recover": True, "override": override}}}})
    [reply] = await ask(world, world.client(), connect={})
    assert reply["connect"]["subs"]["asked:a"]["recovered"]
