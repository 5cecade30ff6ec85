"""PROTOCOL.md §3: who the client is, what it gets at once, and when its time is over."""

import time

import pytest


def soon(seconds=3600):
    """A moment as token claims name it."""
    return int(time.time()) + seconds


@pytest.mark.parametrize("token", ["garbage", "a.b.c", "eyJhbGciOiJub25lIn0.e30."])
async def test_p17_a_bad_token_is_3500(shipped, open_peer, token):
    """P-17: bad token → 3500, in insecure mode too."""
    peer = await open_peer(shipped)
    await peer.send({"id": 1, "connect": {"token": token}})
    assert await peer.closed() == (3500, "invalid token")


async def test_p17_a_token_of_another_secret_is_3500(strict, shipped, open_peer):
    """P-17: a wrong signature is a bad token, whatever the rest says."""
    peer = await open_peer(strict)
    await peer.send({"id": 1, "connect": {"token": shipped.token("42", exp=1)}})
    assert await peer.closed() == (3500, "invalid token")


@pytest.mark.parametrize("claims", [{"exp": 1}, {"nbf": 4_000_000_000}])
async def test_p18_an_expired_token_is_109(strict, open_peer, claims):
    """P-18: expired token → 109, the rest of the frame is dropped, next command 3501."""
    peer = await open_peer(strict)
    await peer.send({"id": 1, "connect": {"token": strict.token(**claims)}}, {"id": 2, "subscribe": {"channel": "a"}})
    assert await peer.message() == {"id": 1, "error": {"code": 109, "message": "token expired"}}
    await peer.send({"id": 3, "subscribe": {"channel": "a"}})
    assert await peer.closed() == (3501, "bad request")
    assert len(peer.log) == 1


async def test_p18_a_refused_client_that_stays_is_stale(brief, open_peer):
    """P-18 with §3.1: without a further command the stale timer ends it."""
    peer = await open_peer(brief)
    assert await peer.error(connect={"token": brief.token(exp=1)}) == 109
    assert await peer.closed() == (3502, "stale")


async def test_p19_no_token_is_3501(strict, open_peer):
    """P-19: no token, not anonymous → 3501."""
    peer = await open_peer(strict)
    await peer.send({"id": 1, "connect": {}})
    assert await peer.closed() == (3501, "bad request")


async def test_p20_a_connection_token_with_a_channel_is_3500(strict, open_peer):
    """P-20: connection token with `channel` → 3500."""
    peer = await open_peer(strict)
    await peer.send({"id": 1, "connect": {"token": strict.token(channel="a")}})
    assert await peer.closed() == (3500, "invalid token")


async def test_p21_subs_of_the_token(strict, open_peer, user, channel):
    """P-21: token `subs` appear in `connect.subs`, with data, and deliver at once."""
    peer, plain, kept = await open_peer(strict), channel(), channel("kept")
    claims = {"subs": {plain: {"data": {"hello": 1}}, kept: {"info": {"role": "x"}}}, "channels": ["ignored:x"]}
    result = await peer.result(connect={"token": strict.token(user, **claims)})
    assert result["subs"].keys() == {plain, kept, f"#{user}"}
    assert result["subs"][plain] == {"data": {"hello": 1}}
    assert result["subs"][kept].keys() == {"recoverable", "positioned", "epoch"}
    strict.call("publish", channel=plain, data=1)
    assert (await peer.publication(plain))["data"] == 1
    assert await peer.error(subscribe={"channel": plain}) == 105
    infos = (await peer.result(presence={"channel": kept}))["presence"].values()
    assert [info["chan_info"] for info in infos] == [{"role": "x"}]


async def test_p21_channels_of_the_token(strict, open_peer, user, channel):
    """P-21: `channels` gives each the options of its namespace."""
    peer, name = await open_peer(strict), channel("kept")
    result = await peer.result(connect={"token": strict.token(user, channels=[name])})
    assert result["subs"][name]["recoverable"] is True


async def test_p22_the_personal_channel(strict, connected, open_peer, user):
    """P-22: personal channel `#user` subscribed, for every connection of the user and nobody else."""
    one, two, other = await connected(strict, user), await open_peer(strict), await connected(strict, f"{user}-other")
    result = await two.result(connect={"token": strict.token(user)})
    assert result["subs"] == {f"#{user}": {}}
    strict.call("publish", channel=f"#{user}", data="mine")
    assert [(await peer.publication(f"#{user}"))["data"] for peer in (one, two)] == ["mine", "mine"]
    await other.result(unsubscribe={"channel": "none"})
    assert not [message for message in other.log if "pub" in message.get("push", {})]


async def test_p23_refresh_prolongs(brief, open_peer, user):
    """P-23: refresh prolongs: the result says for how long, and the old expiry passes without an end."""
    peer = await open_peer(brief)
    result = await peer.result(connect={"token": brief.token(user, exp=soon(2))})
    assert result["expires"] is True
    assert 0 < result["ttl"] <= 2
    refreshed = await peer.result(refresh={"token": brief.token(user, exp=soon(600))})
    assert refreshed["expires"] is True
    assert 595 <= refreshed["ttl"] <= 600
    for _ in range(4):
        await peer.until(lambda message: message == {})  # one ping a second: the old expiry and its grace are over
    assert await peer.result(unsubscribe={"channel": "none"}) == {}


async def test_p23_a_refresh_without_expiry_takes_the_old_one_away(brief, open_peer, user):
    """P-23 with §3.6: a token without expiry clears the timer."""
    peer = await open_peer(brief)
    await peer.result(connect={"token": brief.token(user, exp=soon(1))})
    assert (await peer.result(refresh={"token": brief.token(user)})).keys() == {"client"}
    for _ in range(3):
        await peer.until(lambda message: message == {})
    assert await peer.result(unsubscribe={"channel": "none"}) == {}


@pytest.mark.parametrize(
    ("claims", "closed"),
    [({"exp": 1}, (3005, "connection expired")), ({"channel": "a"}, (3500, "invalid token")), (None, (3501, "bad request"))],
)
async def test_p23_refreshes_that_end_the_connection(strict, connected, user, claims, closed):
    """P-23: expired one → 3005; an invalid one 3500, an empty one 3501."""
    peer = await connected(strict, user)
    token = "" if claims is None else strict.token(user, **claims)
    await peer.send({"id": 2, "refresh": {"token": token}})
    assert await peer.closed() == closed


async def test_p23_a_refresh_for_another_user_is_3500(strict, connected, user):
    """P-23 with §3.6: nobody becomes another."""
    peer = await connected(strict, user)
    await peer.send({"id": 2, "refresh": {"token": strict.token(f"{user}-other")}})
    assert await peer.closed() == (3500, "invalid token")


async def test_a_refresh_whose_channels_changed_is_3010(strict, connected, user, channel):
    """§3.6: the reconnect applies what the new token says."""
    peer = await connected(strict, user, channels=[channel()])
    await peer.send({"id": 2, "refresh": {"token": strict.token(user, channels=[channel()])}})
    assert await peer.closed() == (3010, "insufficient state")


async def test_p24_without_a_refresh_it_ends(brief, open_peer, user):
    """P-24: no refresh → 3005 after the grace."""
    peer = await open_peer(brief)
    await peer.result(connect={"token": brief.token(user, exp=soon(1))})
    assert await peer.closed() == (3005, "connection expired")


async def test_an_expiry_that_is_over_already_is_110(strict, open_peer, user):
    """§3.4: computed expiry already past: error 110."""
    peer = await open_peer(strict)
    token = strict.token(user, exp=soon(), expire_at=soon(-1))
    assert await peer.error(connect={"token": token}) == 110


async def test_p25_the_connection_limit_of_a_user(brief, connected, open_peer, user):
    """P-25: user_connection_limit → 3504; the others stay, and another user is let in."""
    first, _second = await connected(brief, user), await connected(brief, user)
    third = await open_peer(brief)
    await third.send({"id": 1, "connect": {"token": brief.token(user)}})
    assert await third.closed() == (3504, "connection limit")
    assert await first.result(unsubscribe={"channel": "none"}) == {}
    await connected(brief, f"{user}-other")


async def test_more_channels_in_the_token_than_allowed_is_3505(strict, open_peer, user):
    """§3.4: more server-side subscriptions than `channel_limit`."""
    peer = await open_peer(strict)
    await peer.send({"id": 1, "connect": {"token": strict.token(user, channels=["a", "b", "c", "d"])}})
    assert await peer.closed() == (3505, "channel limit")


async def test_an_anonymous_token_that_is_not_wanted_is_3507(strict, open_peer):
    """§3.4: `disallow_anonymous_connection_tokens`."""
    peer = await open_peer(strict)
    await peer.send({"id": 1, "connect": {"token": strict.token("")}})
    assert await peer.closed() == (3507, "permission denied")


async def test_an_unknown_namespace_in_the_token_is_102(strict, open_peer, user):
    """§3.4: in the token error 102, in the client's own wishes 3501."""
    named, wished = await open_peer(strict), await open_peer(strict)
    assert await named.error(connect={"token": strict.token(user, channels=["nowhere:a"])}) == 102
    await wished.send({"id": 1, "connect": {"token": strict.token(user), "subs": {"nowhere:a": {}}}})
    assert await wished.closed() == (3501, "bad request")


async def test_send_is_3508(strict, connected, user):
    """§5.8: `send` has no handler."""
    peer = await connected(strict, user)
    await peer.send({"send": {"data": {}}})
    assert await peer.closed() == (3508, "not available")


async def test_a_server_that_stops_says_3001(own_server, open_peer):
    """§3.8: clients and those who have said nothing yet are told to come back elsewhere."""
    server = own_server
    peer, silent = await open_peer(server), await open_peer(server)
    await peer.result(connect={"token": server.token()})
    assert server.stop() == 0
    assert await peer.closed() == (3001, "shutdown")
    assert await silent.closed() == (3001, "shutdown")
