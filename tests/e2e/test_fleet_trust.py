"""Rights in a fleet: what one node is told of keys, roles, policies, overrides and tokens is in force on the other at once."""

import asyncio
import json
import re
import time
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

pytestmark = [pytest.mark.redis, pytest.mark.postgres]

OFTEN_S = 0.02


def fresh(prefix):
    return f"{prefix}-{uuid.uuid4().hex[:8]}"


async def until(asked, expected):
    """Ask until the answer is the expected one. The bound ends a hang, and is far below what any cache would explain."""
    answer = None
    try:
        async with asyncio.timeout(4):
            while True:
                if (answer := await asked()) == expected:
                    return
                await asyncio.sleep(OFTEN_S)
    except TimeoutError:
        raise AssertionError(f"it is still {answer!r}, not {expected!r}") from None


async def refusal(node, token):
    """Try to come in: the status, the code of the error, or that of the close frame; 0 for whoever is let in."""
    try:
        async with connect(node.ws_url) as socket:
            await socket.send(json.dumps({"id": 1, "connect": {"token": token}}))
            return json.loads(await socket.recv()).get("error", {}).get("code", 0)
    except InvalidStatus as exc:
        return exc.response.status_code
    except ConnectionClosed as exc:
        return exc.rcvd.code


def publishing(node, key):
    """A call by a key, to be asked again and again: 0, the code of its error, or the status of who is not known at all."""

    async def ask():
        answer = node.post("publish", {"channel": "news", "data": 1}, **{"X-API-Key": key})
        return answer.json().get("error", {}).get("code", 0) if answer.status_code == 200 else answer.status_code

    return ask


def subscribing(client, channel):
    """A subscription, to be asked for again and again: 0, or the code of the error."""

    async def ask():
        return (await client.ask(subscribe={"channel": channel})).get("error", {}).get("code", 0)

    return ask


async def test_a_key_made_rotated_and_revoked(fleet):
    made = fleet.one.call("api_key_create", name=fresh("key"), methods=["publish"])
    await until(publishing(fleet.two, made["key"]), 0)
    other = fleet.one.call("api_key_rotate", id=made["id"], grace_s=0)
    await until(publishing(fleet.two, other["key"]), 0)
    assert await publishing(fleet.two, made["key"])() == 401
    fleet.one.call("api_key_revoke", id=made["id"])
    await until(publishing(fleet.two, other["key"]), 401)


async def test_a_key_may_do_what_its_role_says_now(fleet):
    role = fresh("role")
    fleet.one.call("role_set", name=role, permissions=["call publish"])
    made = fleet.one.call("api_key_create", name=fresh("key"), role=role)
    await until(publishing(fleet.two, made["key"]), 0)
    fleet.one.call("role_set", name=role, permissions=["call presence"])
    await until(publishing(fleet.two, made["key"]), 103)
    fleet.one.call("role_set", name=role, permissions=["call pub*"])
    await until(publishing(fleet.two, made["key"]), 0)


async def test_a_keys_rate_is_counted_over_all_nodes(fleet):
    made = fleet.one.call("api_key_create", name=fresh("key"), methods=["publish"], rate_per_s=0.001, burst=4)
    asks = [publishing(node, made["key"]) for node in (fleet.one, fleet.two)]
    await until(asks[1], 0)
    assert [await asks[number % 2]() for number in range(3)] == [0, 0, 0]
    assert [await ask() for ask in asks] == [429, 429]


async def test_a_role_given_and_taken_back(fleet, on_two, user):
    role, channel = fresh("role"), f"desk:{fresh('table')}"
    ask = subscribing(on_two, channel)
    assert await ask() == 103
    fleet.one.call("role_set", name=role, permissions=["subscribe desk:*"])
    fleet.one.call("role_assign", user=user, role=role)
    await until(ask, 0)
    fleet.one.call("role_unassign", user=user, role=role)
    assert (await on_two.pushed(channel, "unsubscribe"))["code"] == 2502
    assert await ask() == 103


async def test_a_policy_denies_without_closing_and_is_rolled_back(fleet, on_two):
    channel = fresh("secret")
    ask = subscribing(on_two, channel)
    assert await ask() == 0
    before = fleet.one.call("policy_set", policy={})["version"]
    rule = {"name": "nobody", "effect": "deny", "actions": ["subscribe"], "channels": [channel]}
    fleet.one.call("policy_set", policy={"rules": [rule]})
    try:
        assert (await on_two.pushed(channel, "unsubscribe"))["code"] == 2502
        assert await ask() == 103
    finally:
        fleet.one.call("policy_rollback", version=before)
    await until(ask, 0)


@pytest.fixture
def override(fleet):
    """Say something otherwise on node one, by kind; it is taken back at the end, or by the function that this gives."""
    said = set()

    def take_back(kind):
        fleet.one.call("override_remove", kind=kind)
        said.discard(kind)

    def put(kind, **more):
        fleet.one.call("override_set", kind=kind, expires_in_s=60, reason="a test of overrides", **more)
        said.add(kind)
        return lambda: take_back(kind)

    yield put
    for kind in tuple(said):
        take_back(kind)


async def test_new_connections_are_refused_and_told_why(fleet, on_two, override, user):
    async def knock():
        return await refusal(fleet.two, fleet.token(user))

    override("maintenance", value="back at noon")
    let_in_again = override("refuse_connections")
    await until(knock, 503)
    with pytest.raises(InvalidStatus) as refused:
        await connect(fleet.two.ws_url)
    response = refused.value.response
    assert (response.body, int(response.headers["Retry-After"]) > 0) == (b"back at noon\n", True)
    assert "history" in await on_two.ask(history={"channel": fresh("still-here")})
    let_in_again()
    await until(knock, 0)


async def test_only_what_is_critical_is_taken(fleet, override, user):
    def notify(priority="normal"):
        return fleet.two.post("notify", {"user": user, "title": "t", "priority": priority, "routes": ["live"]})

    async def status():
        return notify().status_code

    take_all_again = override("only_critical")
    await until(status, 503)
    assert int(notify().headers["Retry-After"]) > 0
    assert notify("critical").status_code == 200
    take_all_again()
    await until(status, 200)


def test_every_process_tells_how_old_its_rules_are(fleet):
    def told(server):
        text = server.client.get(f"{server.url}/metrics").raise_for_status().text
        return set(re.findall(r'^heliograph_rules_age_seconds\{subject="(\w+)"\} \S+$', text, re.M))

    assert told(fleet.two) == {"api_keys", "overrides", "policy", "roles"}
    assert told(fleet.pusher) == {"overrides"}


async def test_what_is_revoked_stays_so_on_a_node_that_comes_later(fleet, wire):
    now = int(time.time())
    one_token, by_user, by_time, blocked = (fresh(name) for name in ("token", "by-user", "by-time", "blocked"))
    bad = {
        fleet.token(fresh("user"), jti=one_token): 109,
        fleet.token(by_user): 109,
        fleet.token(by_time, iat=now - 100): 109,
        fleet.token(blocked): 3507,
    }
    good = fleet.token(by_time, iat=now - 10)
    clients = [await wire(fleet.two, token=token) for token in bad]
    stays = await wire(fleet.two, token=good)
    fleet.one.call("revoke_token", uid=one_token)
    fleet.one.call("invalidate_user_tokens", user=by_user, issued_before=now + 60)
    fleet.one.call("invalidate_user_tokens", user=by_time, issued_before=now - 50)
    fleet.one.call("block_user", user=blocked)
    assert [await client.closed() for client in clients] == [3014, 3014, 3014, 3507]
    assert [await refusal(fleet.two, token) for token in bad] == list(bad.values())
    assert "history" in await stays.ask(history={"channel": fresh("still-here")})
    later = fleet.start("gateway-later")
    assert [await refusal(later, token) for token in (*bad, good)] == [*bad.values(), 0]
    assert later.stop() == 0


async def test_handshakes_of_a_user_are_counted_over_all_nodes(fleet, user):
    rate = "HELIOGRAPH_LIMITS__HANDSHAKES_PER_USER__"
    with ThreadPoolExecutor() as pool:
        settings = {f"{rate}PER_S": "0.001", f"{rate}BURST": "4"}
        here, there = pool.map(lambda name: fleet.start(name, **settings), ("gateway-here", "gateway-there"))

    token = fleet.token(user)
    assert [await refusal(here, token) for _ in range(4)] == [0, 0, 0, 0]
    assert await refusal(here, token) == 111
    # Each tells the other what it has let through a tenth of a second later: before that, nobody here can know.
    let_in = 0
    async with asyncio.timeout(30):  # only ends a hang
        while await refusal(there, token) == 0:
            let_in += 1
            await asyncio.sleep(0.3)
    assert let_in < 4
    for node in (here, there):
        assert node.stop() == 0
