"""What the backend says at an expiry: connections and subscriptions go on, end, or wait for an answer."""

import base64

import pytest

NOT_BASE64 = "%%%"


async def expire(world, seconds):
    world.node._pings = None  # pongs are not these tests' matter
    world.pass_time(seconds)
    await world.node.tasks.drain(20)


@pytest.fixture
def until(proxied):
    """A world whose connections are renewed by the backend, and a client of it that expires in 60 s."""

    def make(**options):
        world = proxied("refresh", **options)
        return world, world.connected(exp=world.now() + 60, meta={"tenant": "a"})

    return make


async def test_the_client_is_not_told_and_need_not_refresh(until):
    world, _ = until()
    result = world.client().connect(token=world.token(exp=world.now() + 60))
    assert "expires" not in result
    assert "ttl" not in result


async def test_a_refresh_of_the_clients_own_is_out_of_place(until):
    world, client = until()
    client.send({"id": 2, "refresh": {"token": world.token(exp=world.now() + 100)}})
    assert client.closed == (3501, "bad request")


async def test_the_backend_is_asked_at_the_expiry(until, backend):
    world, client = until(proxy={"include_connection_meta": True})
    await expire(world, 59.5)
    assert backend.asked == []
    backend.answer("refresh", {"result": {"expire_at": world.now() + 100, "info": {"n": 2}, "meta": {"tenant": "b"}}})
    await expire(world, 1)
    [body] = backend.bodies("refresh")
    assert (body["user"], body["client"], body["meta"]) == ("42", client.session.client.id, {"tenant": "a"})
    assert client.closed is None
    assert client.session.client.conn_info == b'{"n": 2}'
    await expire(world, 98)
    assert len(backend.asked) == 1
    backend.answer("refresh", {"result": {"expired": True}})
    await expire(world, 2)
    assert backend.bodies("refresh")[1]["meta"] == {"tenant": "b"}
    assert client.closed == (3005, "connection expired")


async def test_without_an_expiry_it_goes_on_for_ever(until, backend):
    world, client = until()
    await expire(world, 61)
    await expire(world, 300)
    assert client.closed is None
    assert len(backend.asked) == 1


@pytest.mark.parametrize(
    ("answer", "closed"),
    [
        ({}, 3005),
        ({"result": {"expired": True, "expire_at": 9_999_999_999}}, 3005),
        ({"result": {"expire_at": 1}}, 3005),
        ({"error": {"code": 100}}, 3005),
        ({"disconnect": {"code": 4000}}, 3005),
        ({"result": {"b64info": NOT_BASE64}}, 3004),
        ({"result": {"b64info": base64.b64encode(b"no json").decode()}}, 3004),
        ({"result": {"meta": 7}}, 3004),
    ],
)
async def test_what_ends_a_connection(until, backend, answer, closed):
    world, client = until()
    backend.answer("refresh", answer)
    await expire(world, 61)
    assert client.closed[0] == closed


@pytest.mark.parametrize(("status", "body"), [(500, b""), (200, b"{"), (204, b"")])
async def test_a_backend_that_is_down_prolongs_by_a_minute(until, backend, status, body):  # L-10
    """P-74: a refresh proxy that is down."""
    world, client = until()
    backend.answer("refresh", body, status=status)
    await expire(world, 61)
    assert client.closed is None
    await expire(world, 58)
    assert len(backend.asked) == 1
    await expire(world, 3)
    assert len(backend.asked) == 2
    assert client.closed is None
    backend.answer("refresh", {"result": {"expired": True}})
    await expire(world, 61)
    assert client.closed == (3005, "connection expired")


async def test_a_backend_that_never_answers_prolongs_too(until, backend):
    backend.hold("refresh")
    world, client = until(proxy={"timeout": "50ms"})
    await expire(world, 61)
    assert client.closed is None
    assert client.session.client.expire_at > world.now()


async def test_a_status_with_a_meaning_is_no_result(until, backend):
    transforms = [{"status_code": 404, "to_disconnect": {"code": 4500, "reason": "gone"}}]
    world, client = until(proxy={"status_to_code_transforms": transforms})
    backend.answer("refresh", b"", status=404)
    await expire(world, 61)
    assert client.closed == (3005, "connection expired")


async def test_who_leaves_meanwhile(until, backend):
    backend.hold("refresh")
    world, client = until()
    world.node._pings = None
    world.pass_time(61)
    await backend.arrived.wait()
    client.vanish()
    backend.answer("refresh", {"result": {"expired": True}})
    backend.release()
    await world.node.tasks.drain(20)
    assert client.closed is None, "there was nobody left to disconnect"
    assert world.node.statistics().clients == 0


async def test_a_refresh_of_the_api_overtakes_the_answer(until, backend, api):
    backend.hold("refresh")
    backend.answer("refresh", {"result": {"expired": True}})
    world, client = until()
    world.node._pings = None
    world.pass_time(61)
    await backend.arrived.wait()
    await api(world).result("refresh", user="42", expire_at=world.now() + 500)
    backend.release()
    await world.node.tasks.drain(20)
    assert client.closed is None


# Subscriptions


@pytest.fixture
def subscribed(proxied):
    """A world whose subscriptions are renewed by the backend, and a client with one that expires in 60 s."""

    def make(**options):
        world = proxied("sub_refresh", **options)
        client = world.connected()
        token = world.token(channel="asked:a", exp=world.now() + 60)
        [reply] = client.send({"id": 2, "subscribe": {"channel": "asked:a", "token": token}})
        assert reply["subscribe"] == {}, "neither expires nor ttl: the server sees to it"
        return world, client

    return make


async def test_a_subscription_goes_on(subscribed, backend):
    world, client = subscribed()
    backend.answer("sub_refresh", {"result": {"expire_at": world.now() + 100, "info": {"n": 2}}})
    await expire(world, 61)
    [body] = backend.bodies("sub_refresh")
    assert (body["user"], body["channel"]) == ("42", "asked:a")
    assert client.read() == []
    assert client.session.client.subscriptions["asked:a"].chan_info == b'{"n": 2}'


@pytest.mark.parametrize(
    "answer",
    [{}, {"result": {"expired": True}}, {"result": {"expire_at": 1}}, {"result": {"b64info": NOT_BASE64}}],
)
async def test_what_ends_a_subscription(subscribed, backend, answer):
    world, client = subscribed()
    backend.answer("sub_refresh", answer)
    await expire(world, 61)
    [push] = client.read()
    assert push["push"]["unsubscribe"] == {"code": 2501, "reason": "subscription expired"}
    assert client.closed is None
    assert "asked:a" not in client.session.client.subscriptions


async def test_a_backend_that_is_down_prolongs_a_subscription(subscribed, backend):
    world, client = subscribed()
    backend.answer("sub_refresh", b"", status=500)
    await expire(world, 61)
    assert client.read() == []
    backend.answer("sub_refresh", {"result": {"expired": True}})
    await expire(world, 58)
    assert client.read() == []
    await expire(world, 3)
    assert client.read()[0]["push"]["unsubscribe"]["code"] == 2501


async def test_a_servers_subscription_ends_with_its_connection(proxied, backend, ask):
    world = proxied("connect", "sub_refresh")
    backend.answer("connect", {"result": {"user": "42", "subs": {"asked:a": {"expire_at": world.now() + 60}}}})
    backend.answer("sub_refresh", {"result": {"expired": True}})
    client = world.client()
    [reply] = await ask(world, client, connect={})
    assert reply["connect"]["subs"]["asked:a"] == {}
    await expire(world, 61)
    assert client.closed == (3006, "subscription expired")


async def test_a_sub_refresh_of_the_clients_own_is_out_of_place(subscribed):
    world, client = subscribed()
    [reply] = client.send({"id": 3, "sub_refresh": {"channel": "asked:b", "token": "t"}})
    assert reply["error"]["code"] == 103
    client.send({"id": 4, "sub_refresh": {"channel": "asked:a", "token": world.token(channel="asked:a")}})
    assert client.closed == (3501, "bad request")


async def test_who_left_the_channel_meanwhile(subscribed, backend):
    backend.hold("sub_refresh")
    backend.answer("sub_refresh", {"result": {"expired": True}})
    world, client = subscribed()
    world.node._pings = None
    world.pass_time(61)
    await backend.arrived.wait()
    token = world.token(channel="asked:a")
    client.send(
        {"id": 3, "unsubscribe": {"channel": "asked:a"}}, {"id": 4, "subscribe": {"channel": "asked:a", "token": token}}
    )
    backend.release()
    await world.node.tasks.drain(20)
    assert client.read() == []
    assert "asked:a" in client.session.client.subscriptions, "the answer was about another subscription"
