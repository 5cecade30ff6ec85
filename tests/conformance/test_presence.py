"""PROTOCOL.md §5.5: presence, join and leave."""

import asyncio

import pytest


@pytest.fixture
async def pair(strict, connected, user):
    """Two clients of different users."""
    return await connected(strict, f"{user}-1"), await connected(strict, f"{user}-2")


async def test_p52_one_entry_per_connection(strict, connected, pair, user, channel):
    """P-52: presence lists one entry per connection, gone after unsubscribe and after the connection."""
    one, two = pair
    again, name = await connected(strict, f"{user}-1"), channel("kept")
    assert await one.result(presence={"channel": name}) == {"presence": {}}
    for peer in (one, two, again):
        await peer.subscribe(name)
    entries = (await one.result(presence={"channel": name}))["presence"]
    assert sorted(info["user"] for info in entries.values()) == [f"{user}-1", f"{user}-1", f"{user}-2"]
    assert all(info["client"] == client for client, info in entries.items())
    await two.result(unsubscribe={"channel": name})
    assert len((await one.result(presence={"channel": name}))["presence"]) == 2
    await again.socket.close()
    await one.push("leave", name)
    await one.push("leave", name)
    assert len((await one.result(presence={"channel": name}))["presence"]) == 1
    assert strict.call("presence", channel=name)["presence"].keys() <= entries.keys()


async def test_p53_both_numbers_always(strict, connected, pair, user, channel):
    """P-53: presence_stats always has both numbers: clients, and users among them."""
    one, two = pair
    again, name = await connected(strict, f"{user}-1"), channel("kept")
    assert await one.result(presence_stats={"channel": name}) == {"num_clients": 0, "num_users": 0}
    for peer in (one, two, again):
        await peer.subscribe(name)
    assert await two.result(presence_stats={"channel": name}) == {"num_clients": 3, "num_users": 2}


async def test_p54_presence_off(pair, channel):
    """P-54: presence off → 108."""
    one, _ = pair
    assert await one.error(presence={"channel": channel()}) == 108
    assert await one.error(presence_stats={"channel": channel()}) == 108


async def test_p55_joins_and_leaves(pair, user, channel):
    """P-55: own join after own reply; leave to others only, and every leave after its join."""
    one, two = pair
    name = channel("kept")
    await one.send({"id": 7, "subscribe": {"channel": name}})
    own = await one.push("join", name)
    assert own["join"]["info"]["user"] == f"{user}-1"
    assert ["subscribe" in entry for entry in one.log[-2:]] == [True, False]
    await two.subscribe(name)
    assert (await one.push("join", name))["join"]["info"]["user"] == f"{user}-2"
    await two.result(unsubscribe={"channel": name})
    assert (await one.push("leave", name))["leave"]["info"]["user"] == f"{user}-2"
    await two.result(presence={"channel": name})
    assert not [entry for entry in two.log if "leave" in entry.get("push", {})]


async def test_p55_the_personal_channel_tells_of_oneself(shipped, connected, user):
    """P-55 with §10: a client hears its own join in a channel it has from the server's side."""
    peer = await connected(shipped, user)
    assert (await peer.push("join", f"#{user}"))["join"]["info"]["user"] == user


async def test_p55_many_come_and_go(pair, strict, connected, user, channel):
    """P-55: whoever is seen to leave was seen to join before, whatever the haste."""
    watcher, _ = pair
    name = channel("kept")
    await watcher.subscribe(name)
    peers = [await connected(strict, f"{user}-{number}") for number in range(3, 11)]

    async def come_and_go(peer):
        for _ in range(5):
            await peer.subscribe(name)
            await peer.result(unsubscribe={"channel": name})

    await asyncio.gather(*map(come_and_go, peers))
    inside: set[str] = set()
    for _ in range(8 * 5 * 2 + 1):
        push = (await watcher.until(lambda message: {"join", "leave"} & message.get("push", {}).keys()))["push"]
        who = (push.get("join") or push["leave"])["info"]["client"]
        assert (who in inside) == ("leave" in push)
        inside ^= {who}
    assert len(inside) == 1
