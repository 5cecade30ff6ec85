"""Figures over our own protocol: to whom they go, and to whom never."""

import asyncio

import jwt
import pytest

from config.clock import settle
from gateway.admin.live import CHANNEL, INTERVAL_S
from gateway.admin.sessions import ISSUER


async def entered(one, name="ann"):
    """Connect as the page does; gives the client, its id, the ticket and the session."""
    await one.log_in(name)
    passed = (await one.post("live")).json()
    client = one.world.client()
    told = client.connect(token=passed["token"], name="admin")
    session = one.sessions.read_ticket(passed["ticket"])
    return client, told["client"], passed["ticket"], session


async def call(client, ticket, client_id):
    messages = client.send({"id": 2, "rpc": {"method": "admin.watch", "data": {"ticket": ticket, "client": client_id}}})
    await settle()
    return next(message for message in [*messages, *client.read()] if message.get("id") == 2)


def figures_in(messages):
    return [message["push"] for message in messages if "push" in message and message["push"].get("channel") == CHANNEL]


@pytest.fixture
async def running(site):
    """A page whose figures are told."""
    one = await site()
    task = asyncio.create_task(one.live.run())
    yield one
    task.cancel()


async def told_to(one, client, *, rounds=1):
    for _ in range(rounds):
        await one.world.clock.advance(INTERVAL_S)
    # A look asks the store in a thread of its own.
    for _ in range(200):
        await asyncio.sleep(0)
        if messages := figures_in(client.read()):
            return messages
        await one.desk.look()
    return []


async def test_whoever_watches_is_told_again_and_again(running):
    client, client_id, ticket, _ = await entered(running)
    assert (await call(client, ticket, client_id)) == {"id": 2, "rpc": {"data": {}}}
    for _ in range(2):
        (push, *_) = await told_to(running, client)
        assert push["pub"]["data"]["node"]["clients"] == 1
        assert push["pub"].keys() == {"data"}


async def test_nothing_is_gathered_while_nobody_watches(running):
    client = running.world.connected("42")
    await running.world.clock.advance(60)
    assert len(running.live) == 0 and running.desk._last is None
    assert figures_in(client.read()) == []


async def test_a_connection_that_went_is_forgotten(running):
    client, client_id, ticket, _ = await entered(running)
    await call(client, ticket, client_id)
    assert len(running.live) == 1
    assert await told_to(running, client)
    client.vanish()
    await running.world.clock.advance(INTERVAL_S)
    assert len(running.live) == 0


async def test_a_logout_ends_the_connection(running):
    client, client_id, ticket, _ = await entered(running)
    await call(client, ticket, client_id)
    assert await told_to(running, client)
    await running.post("logout")
    client.read()
    assert client.closed is not None and client.closed[0] == 3014
    await running.world.clock.advance(INTERVAL_S)
    assert len(running.live) == 0


@pytest.mark.parametrize(
    "what", ["forged", "value", "token", "empty", "ended", "of another", "another's connection", "nobody's connection"]
)
async def test_without_a_ticket_of_ones_own_nobody_watches(site, what):
    one = await site()
    client, client_id, ticket, session = await entered(one)
    expected = 103
    if what == "ended":
        await one.revocation.revoke_token(session.id, until=float(session.ends_at))
    elif what == "another's connection":
        other = one.world.client()
        client_id = other.connect(token=one.world.token("42"))["client"]
        expected = 104
    elif what == "nobody's connection":
        client_id, expected = "", 104
    tickets = {
        "forged": ticket[:-2] + "AA",
        "value": one.http.cookies["heliograph-8000"],
        "token": one.sessions.live_pass(session)[0],
        "empty": "",
    }
    if what == "of another":
        _, rob = one.sessions.open("rob")
        tickets[what] = one.sessions.live_pass(rob)[1]
    answer = await call(client, tickets.get(what, ticket), client_id)
    assert answer["error"]["code"] == expected
    assert len(one.live) == 0


async def test_an_application_cannot_stand_in_for_an_operator(running):
    """Its tokens may say what they like: they carry no ticket, and the channel's name leads nowhere."""
    watcher, client_id, ticket, _ = await entered(running)
    await call(watcher, ticket, client_id)
    secret = "secret-of-the-tests-0123456789abcdef"
    forged = jwt.encode({"sub": "ann", "iss": ISSUER}, secret, "HS256")
    intruder = running.world.client()
    intruder.send({"id": 1, "connect": {"token": forged}})
    assert intruder.closed is not None and intruder.closed[0] == 3500

    same_name = running.world.connected("$admin:ann")
    assert (await call(same_name, "", client_id))["error"]["code"] == 103
    reply, *_ = same_name.send({"id": 3, "subscribe": {"channel": CHANNEL}})
    assert reply["error"]["code"] in (102, 103)
    for claims in ({"subs": {CHANNEL: {}}}, {"channels": [CHANNEL]}):
        client = running.world.client()
        client.send({"id": 1, "connect": {"token": running.world.token("42", **claims)}})
        assert figures_in(client.read()) == []
    assert await told_to(running, watcher)
    assert figures_in(same_name.read()) == []
