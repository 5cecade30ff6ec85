"""PROTOCOL.md §4: channel names, and who may subscribe to what."""

import time

import pytest


def soon(seconds=3600):
    return int(time.time()) + seconds


@pytest.mark.parametrize("command", ["subscribe", "publish", "presence", "presence_stats", "history"])
async def test_p26_unknown_namespaces(strict, connected, user, command):
    """P-26: unknown namespace → 102, whatever is asked."""
    peer = await connected(strict, user)
    request = {"channel": "nowhere:a", **({"data": {}} if command == "publish" else {})}
    assert await peer.error(**{command: request}) == 102


async def test_p27_the_length_of_a_channel(strict, connected, user):
    """P-27: 256-byte channel → 107; 255 passes."""
    peer = await connected(strict, user)
    assert await peer.error(subscribe={"channel": "x" * 256}) == 107
    assert await peer.subscribe("x" * 255) == {}


@pytest.mark.parametrize("name", ["ü", "kept:日本", "a\u0000\u0080"])
async def test_p28_names_are_ascii(strict, connected, user, name):
    """P-28: non-ASCII channel → 107."""
    peer = await connected(strict, user)
    assert await peer.error(subscribe={"channel": name}) == 107


async def test_p29_private_channels_need_a_token(strict, shipped, connected, user, channel):
    """P-29: `$ch` without token → 103, insecure or not; with a token it opens."""
    peer, insecure = await connected(strict, user), await connected(shipped, user)
    private = channel(prefix="$")
    assert await peer.error(subscribe={"channel": private}) == 103
    assert await insecure.error(subscribe={"channel": private}) == 103
    token = strict.token(user, channel=private, info={"a": 1}, data={"b": 2})
    assert (await peer.subscribe(private, token=token)) == {"data": {"b": 2}}


async def test_p30_bad_and_expired_subscription_tokens(strict, connected, user, channel):
    """P-30: subscription token: bad 103, expired 109; the connection stays."""
    peer, private = await connected(strict, user), channel(prefix="$")
    assert await peer.error(subscribe={"channel": private, "token": "garbage"}) == 103
    assert await peer.error(subscribe={"channel": private, "token": strict.token(user)}) == 103
    assert await peer.error(subscribe={"channel": private, "token": strict.token(user, channel=private, exp=1)}) == 109
    late = strict.token(user, channel=private, exp=soon(), expire_at=soon(-5))
    assert await peer.error(subscribe={"channel": private, "token": late}) == 110


@pytest.mark.parametrize("wrong", ["channel", "user", "client"])
async def test_p30_subscription_tokens_of_others(strict, connected, user, channel, wrong):
    """P-30: other channel 3500; so are another user's and another client's."""
    peer, private = await connected(strict, user), channel(prefix="$")
    of = f"{user}-other" if wrong == "user" else user
    claims = {"channel": channel() if wrong == "channel" else private, **({"client": "another"} if wrong == "client" else {})}
    await peer.send({"id": 9, "subscribe": {"channel": private, "token": strict.token(of, **claims)}})
    assert await peer.closed() == (3500, "invalid token")


async def test_p31_duplicates_and_the_limit(strict, connected, user):
    """P-31: duplicate subscribe → 105; beyond the limit → 106; a place that was left is free again."""
    peer = await connected(strict, user)
    for name in ("a", "b", "c"):  # the personal channel is the fourth
        await peer.subscribe(name)
    assert await peer.error(subscribe={"channel": "a"}) == 105
    assert await peer.error(subscribe={"channel": f"#{user}"}) == 105
    assert await peer.error(subscribe={"channel": "d"}) == 106
    assert await peer.result(unsubscribe={"channel": "a"}) == {}
    assert await peer.subscribe("d") == {}


async def test_p31_a_pending_subscribe_counts_too(strict, connected, user, channel):
    """P-31: two at once: one is in, the other 105."""
    peer, name = await connected(strict, user), channel("kept")
    await peer.send({"id": 8, "subscribe": {"channel": name}}, {"id": 9, "subscribe": {"channel": name}})
    replies = [await peer.until(lambda message: "id" in message) for _ in range(2)]
    assert "subscribe" in replies[0]
    assert replies[1]["error"]["code"] == 105


async def test_p32_user_limited_channels(strict, connected, user):
    """P-32: user-limited channel only for listed users, though others may subscribe in general."""
    one, two, other = [await connected(strict, f"{user}-{n}") for n in (1, 2, 3)]
    for name in (f"room#{user}-1,{user}-2", f"limited:room#{user}-2,{user}-1"):
        assert await one.subscribe(name) == {}
        assert await two.subscribe(name) == {}
        assert await other.error(subscribe={"channel": name}) == 103
    assert await one.error(subscribe={"channel": "limited:open"}) == 103


async def test_p33_without_permission(strict, connected, user):
    """P-33: no permission → 103, to subscribe, publish, ask presence and read history."""
    peer = await connected(strict, user)
    assert await peer.error(subscribe={"channel": "closed:a"}) == 103
    assert await peer.error(publish={"channel": "closed:a", "data": {}}) == 103
    assert await peer.error(presence={"channel": "closed:a"}) == 103
    assert await peer.error(presence_stats={"channel": "closed:a"}) == 103
    assert await peer.error(history={"channel": "closed:a", "limit": 1}) == 103


async def test_p33_subscribers_may_more(strict, connected, user, channel):
    """P-33 with §4.3: `_for_subscriber` counts from the subscription on, and no longer than it lasts."""
    peer, name = await connected(strict, user), channel()
    assert await peer.error(publish={"channel": name, "data": {}}) == 103
    await peer.subscribe(name)
    assert await peer.result(publish={"channel": name, "data": {}}) == {}
    await peer.result(unsubscribe={"channel": name})
    assert await peer.error(publish={"channel": name, "data": {}}) == 103


@pytest.mark.parametrize("request_", [{"channel": ""}, {"channel": "a", "delta": "unknown"}])
async def test_what_no_sdk_sends_is_3501(strict, connected, user, request_):
    """§4.4: empty channel and unknown `delta` name."""
    peer = await connected(strict, user)
    await peer.send({"id": 9, "subscribe": request_})
    assert await peer.closed() == (3501, "bad request")


async def test_subscriptions_that_are_not_refreshed_end(brief, connected, user, channel):
    """§3.6: client-side with 2501, which says to come back; server-side with 3006."""
    peer, private = await connected(brief, user), channel(prefix="$")
    result = await peer.subscribe(private, token=brief.token(user, channel=private, exp=soon(1)))
    assert result["expires"] is True
    assert result["ttl"] == 1
    push = await peer.push("unsubscribe", private)
    assert push["unsubscribe"] == {"code": 2501, "reason": "subscription expired"}
    brief.call("subscribe", user=user, channel=channel(), expire_at=soon(1))
    assert await peer.closed() == (3006, "subscription expired")


async def test_sub_refresh(strict, connected, user, channel):
    """§3.6: prolongs; not subscribed 103, without a token 107, an expired one is 2501 and then 109, another's 3500."""
    peer, private = await connected(strict, user), channel(prefix="$")

    def token(**claims):
        return strict.token(user, **{"channel": private, **claims})

    assert await peer.error(sub_refresh={"channel": private, "token": token()}) == 103
    await peer.subscribe(private, token=token(exp=soon(60)))
    assert await peer.error(sub_refresh={"channel": private}) == 107
    result = await peer.result(sub_refresh={"channel": private, "token": token(exp=soon(600))})
    assert result["expires"] is True
    assert result["ttl"] > 60
    assert await peer.result(sub_refresh={"channel": private, "token": token()}) == {}
    assert await peer.error(sub_refresh={"channel": private, "token": token(exp=1)}) == 109
    assert peer.log[-2]["push"]["unsubscribe"]["code"] == 2501
    await peer.subscribe(private, token=token())
    await peer.send({"id": 99, "sub_refresh": {"channel": private, "token": token(channel="other")}})
    assert await peer.closed() == (3500, "invalid token")
