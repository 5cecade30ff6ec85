"""PROTOCOL.md §8.6: users who are kept out, and tokens that count no more."""


async def test_a_blocked_user_goes_and_stays_away(strict, connected, open_peer, user):
    """Connected ones are closed with 3507, connect answers 3507; once unblocked they may come again."""
    peer, other = await connected(strict, user), await connected(strict, f"{user}-other")
    strict.call("block_user", user=user)
    assert await peer.closed() == (3507, "permission denied")
    again = await open_peer(strict)
    await again.send({"id": 1, "connect": {"token": strict.token(user)}})
    assert await again.closed() == (3507, "permission denied")
    strict.call("unblock_user", user=user)
    await connected(strict, user)
    assert await other.result(unsubscribe={"channel": "none"}) == {}


async def test_a_revoked_connection_token_is_3014(strict, connected, open_peer, user):
    """Connected ones get 3014, with which SDKs drop the token; connecting with it is error 109."""
    peer = await connected(strict, user, jti=f"{user}-token")
    strict.call("revoke_token", uid=f"{user}-token")
    assert await peer.closed() == (3014, "state invalidated")
    again = await open_peer(strict)
    assert await again.error(connect={"token": strict.token(user, jti=f"{user}-token")}) == 109
    await connected(strict, user, jti=f"{user}-fresh")


async def test_a_revoked_subscription_token_is_2502(strict, connected, user, channel):
    """The subscription ends and the connection stays; subscribing with it again is error 109."""
    peer, private = await connected(strict, user), channel(prefix="$")
    token = strict.token(user, channel=private, jti=f"{user}-sub")
    await peer.subscribe(private, token=token)
    strict.call("revoke_token", uid=f"{user}-sub")
    assert (await peer.push("unsubscribe", private))["unsubscribe"] == {"code": 2502, "reason": "state invalidated"}
    assert await peer.error(subscribe={"channel": private, "token": token}) == 109
