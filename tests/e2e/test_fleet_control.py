"""Words between the nodes of a fleet: what the API of one node is told is done to the connections of the other."""

import asyncio
import json
import time
import uuid

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

pytestmark = [pytest.mark.redis, pytest.mark.postgres]


def fresh(prefix):
    return f"{prefix}-{uuid.uuid4().hex[:8]}"


async def refusal(node, token):
    """Try to come in: the code of the error or of the close frame; 0 for whoever is let in."""
    async with connect(node.ws_url) as socket:
        await socket.send(json.dumps({"id": 1, "connect": {"token": token}}))
        try:
            return json.loads(await socket.recv()).get("error", {}).get("code", 0)
        except ConnectionClosed:
            return socket.close_code


def auth(node, path, token):
    return node.client.post(f"{node.url}/auth/{path}", json={"refresh_token": token})


async def test_disconnect(fleet, on_two, user):
    fleet.one.call("disconnect", user=user, disconnect={"code": 4242, "reason": "away with you"})
    assert await on_two.closed() == 4242
    assert on_two.socket.close_reason == "away with you"


async def test_disconnect_keeps_whom_it_is_told_to(fleet, on_two, wire, user):
    other = await wire(fleet.two, token=fleet.token(user))
    fleet.one.call("disconnect", user=user, whitelist=[other.id])
    assert await on_two.closed() == 3503
    assert "history" in await other.ask(history={"channel": fresh("still-here")})


async def test_a_refresh_token_used_twice_ends_the_login_on_every_node(fleet, wire, user):
    pair = fleet.one.call("token_issue", user=user)
    here, there = [await wire(node, token=pair["access_token"]) for node in (fleet.one, fleet.two)]
    other = await wire(fleet.two, token=fleet.token(user))
    answers = [auth(node, "refresh", pair["refresh_token"]) for node in (fleet.one, fleet.two)]
    assert [answer.status_code for answer in answers] == [200, 401]
    assert await here.closed() == await there.closed() == 3014
    for node in (fleet.one, fleet.two):
        assert await refusal(node, answers[0].json()["access_token"]) == 109
        assert auth(node, "refresh", answers[0].json()["refresh_token"]).status_code == 401
    assert "history" in await other.ask(history={"channel": fresh("still-here")})


async def test_only_the_newest_connection_stays_where_that_is_wanted(fleet, on_two, wire, user):
    setting = "HELIOGRAPH_CLIENT__SUBSCRIBE_TO_USER_PERSONAL_CHANNEL__SINGLE_CONNECTION"
    three = fleet.start("gateway-three", **{setting: "true"})
    newest = await wire(three, token=fleet.token(user))
    assert await on_two.closed() == 3504
    assert list(fleet.one.call("connections", user=user)["connections"]) == [newest.id]


async def test_subscribe_and_unsubscribe(fleet, on_two, user):
    channel = fresh("given")
    fleet.one.call("subscribe", user=user, channel=channel, data={"k": 1})
    assert (await on_two.pushed(channel, "subscribe"))["data"] == {"k": 1}
    fleet.one.call("publish", channel=channel, data="hello")
    assert (await on_two.pushed(channel, "pub"))["data"] == "hello"
    fleet.one.call("unsubscribe", user=user, channel=channel)
    assert (await on_two.pushed(channel, "unsubscribe"))["code"] == 2000
    assert fleet.two.call("presence", channel=channel)["presence"] == {}


async def test_refresh(fleet, on_two, user):
    fleet.one.call("refresh", user=user, expire_at=int(time.time()) + 1000)
    refreshed = await on_two.until(lambda message: "refresh" in message.get("push", {}))
    assert 990 <= refreshed["push"]["refresh"]["ttl"] <= 1000
    fleet.one.call("refresh", user=user, expired=True)
    assert await on_two.closed() == 3005


async def test_a_revoked_token_is_out_everywhere(fleet, wire, user):
    name = fresh("token")
    token, other = fleet.token(user, jti=name), fleet.token(user, jti=fresh("token"))
    two, stays = await wire(fleet.two, token=token), await wire(fleet.two, token=other)
    fleet.one.call("revoke_token", uid=name)
    assert await two.closed() == 3014
    assert [await refusal(node, token) for node in (fleet.one, fleet.two)] == [109, 109]
    assert "history" in await stays.ask(history={"channel": fresh("still-here")})


async def test_a_revoked_token_takes_its_subscriptions_along(fleet, on_two, user):
    name, channel = fresh("token"), f"${fresh('private')}"
    token = fleet.token(user, jti=name, channel=channel)
    assert "subscribe" in await on_two.ask(subscribe={"channel": channel, "token": token})
    fleet.one.call("revoke_token", uid=name)
    assert (await on_two.pushed(channel, "unsubscribe"))["code"] == 2502
    reply = await on_two.ask(subscribe={"channel": channel, "token": token})
    assert reply["error"]["code"] == 109


async def test_invalidated_tokens_of_a_user_are_out_everywhere(fleet, wire, user):
    now = int(time.time())
    old, new = fleet.token(user, iat=now - 100), fleet.token(user, iat=now - 10)
    two, stays = await wire(fleet.two, token=old), await wire(fleet.two, token=new)
    fleet.one.call("invalidate_user_tokens", user=user, issued_before=now - 50)
    assert await two.closed() == 3014
    assert [await refusal(node, old) for node in (fleet.one, fleet.two)] == [109, 109]
    assert "history" in await stays.ask(history={"channel": fresh("still-here")})


async def test_a_blocked_user_is_out_everywhere_until_unblocked(fleet, on_two, user):
    fleet.one.call("block_user", user=user)
    assert await on_two.closed() == 3507
    token = fleet.token(user)
    assert [await refusal(node, token) for node in (fleet.one, fleet.two)] == [3507, 3507]
    fleet.two.call("unblock_user", user=user)
    async with asyncio.timeout(30):
        for node in (fleet.two, fleet.one):
            while await refusal(node, token):
                pass
