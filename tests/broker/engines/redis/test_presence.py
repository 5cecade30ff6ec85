"""What only a fleet promises of presence: entries of all nodes, none of dead ones, and none lost for long."""

import asyncio

import pytest

from broker.errors import EngineUnavailable
from broker.model import ClientInfo
from broker.presence import PresenceStats

ANN = ClientInfo("ann", "c1", b'{"a":1}', b"")
BOB = ClientInfo("bob", "c2", b"", b"\n1\n\xff")
CAT = ClientInfo("", "c3", b"", b"")


async def test_clients_of_all_nodes_are_there(join):
    one, two = await join(), await join()
    await one.fleet.presence.add("room", ANN)
    await two.fleet.presence.add("room", BOB)
    for member in (one, two):
        assert await member.fleet.presence.members("room") == {"c1": ANN, "c2": BOB}
        assert await member.fleet.presence.stats("room") == PresenceStats(clients=2, users=2)


@pytest.mark.parametrize("channel", ["", "a{b}c", "{}", "\N{SNOWMAN}", "a\nb", "x" * 255])
async def test_channels_may_be_called_anything(join, channel):
    one = await join()
    await one.fleet.presence.add(channel, ANN)
    assert await one.fleet.presence.members(channel) == {"c1": ANN}


async def test_a_dead_nodes_clients_are_gone_when_its_lease_has_ended(join):
    one, two = await join(), await join()
    await one.fleet.presence.add("room", ANN)
    await two.fleet.presence.add("room", BOB)
    await two.fleet.presence.add("room", CAT)
    await two.die()
    await one.fleet.leases.look()
    assert await one.fleet.presence.members("room") == {"c1": ANN}
    assert await one.fleet.presence.stats("room") == PresenceStats(clients=1, users=1)


async def test_a_user_of_a_dead_and_a_living_node_still_counts(join):
    one, two = await join(), await join()
    await one.fleet.presence.add("room", ANN)
    await two.fleet.presence.add("room", ClientInfo("ann", "c9"))
    await two.die()
    await one.fleet.leases.look()
    assert await one.fleet.presence.stats("room") == PresenceStats(clients=1, users=1)


async def test_a_living_node_clears_up_after_a_dead_one(join, stored):
    one, two = await join(), await join()
    await one.fleet.presence.add("room", ANN)
    for number in range(300):
        await two.fleet.presence.add(f"room{number}", ClientInfo("bob", f"b{number}"))
        await two.fleet.presence.add("room", ClientInfo("bob", f"b{number}"))
    before = await stored("presence")
    await two.die()
    await one.beat()
    after = await stored("presence")
    assert len(before) > 900
    assert len(after) == 4  # those of `room`, and the list of the living node's channels
    assert await one.fleet.presence.stats("room") == PresenceStats(clients=1, users=1)


async def test_two_who_clear_up_at_once_do_no_harm(join, stored):
    one, two, dead = await join(), await join(), await join()
    for number in range(50):
        for channel in ("a", "b"):
            await one.fleet.presence.add(channel, ClientInfo("ann", f"o{number}"))
            await dead.fleet.presence.add(channel, ClientInfo("ann", f"d{number}"))
    await dead.die()
    ended = frozenset({dead.fleet.leases.lease})
    await asyncio.gather(one.fleet.presence.evict(ended), two.fleet.presence.evict(ended))
    for channel in ("a", "b"):
        assert await two.fleet.presence.stats(channel) == PresenceStats(clients=50, users=1)
    await asyncio.gather(*(one.fleet.presence.remove(c, f"o{n}") for c in ("a", "b") for n in range(50)))
    assert await stored("presence") == set()


async def test_large_channels_are_cleared_in_steps(join):
    one, two = await join(), await join()
    await asyncio.gather(*(two.fleet.presence.add("room", ClientInfo(f"u{n}", f"c{n}")) for n in range(3000)))
    await one.fleet.presence.add("room", ANN)
    await two.die()
    await one.fleet.leases.look()
    assert await one.fleet.presence.stats("room") == PresenceStats(clients=1, users=1)
    assert await one.fleet.presence.members("room") == {"c1": ANN}


async def test_a_node_that_slept_longer_than_its_lease_enters_everything_again(join):
    one, two = await join(), await join()
    await two.fleet.presence.add("room", BOB)
    await two.die()
    await one.beat()
    await two.fleet.presence.add("room", CAT)  # under a lease that has ended: nobody sees it
    await one.fleet.leases.look()
    assert await one.fleet.presence.members("room") == {}
    await two.beat()
    assert await one.fleet.presence.members("room") == {"c2": BOB, "c3": CAT}
    assert await one.fleet.presence.stats("room") == PresenceStats(clients=2, users=2)


async def test_after_the_server_was_emptied_everything_comes_back(join, empty):
    one, two = await join(), await join()
    await one.fleet.presence.add("room", ANN)
    await asyncio.gather(*(two.fleet.presence.add(f"room{n}", ClientInfo("bob", f"b{n}")) for n in range(500)))
    await two.fleet.presence.add("room", BOB)
    await empty()
    assert await one.fleet.presence.members("room") == {}
    await one.beat()
    await two.beat()
    assert await one.fleet.presence.members("room") == {"c1": ANN, "c2": BOB}
    for number in range(500):
        assert await one.fleet.presence.stats(f"room{number}") == PresenceStats(clients=1, users=1)


async def test_what_left_while_the_server_was_away_does_not_stay(join, cut_off):
    one, two = await join(), await join()
    await two.fleet.presence.add("room", ANN)
    await two.fleet.presence.add("room", BOB)
    with cut_off(two):
        with pytest.raises(EngineUnavailable):
            await two.fleet.presence.remove("room", "c2")
        with pytest.raises(EngineUnavailable):
            await two.fleet.presence.add("room", CAT)
    await two.beat()
    assert await one.fleet.presence.members("room") == {"c1": ANN, "c3": CAT}


async def test_a_node_that_leaves_takes_its_entries_along(join, stored):
    one, two = await join(), await join()
    await two.fleet.presence.add("room", BOB)
    await two.fleet.close()
    assert await stored("presence") == set()
    await one.fleet.leases.look()
    assert await one.fleet.presence.members("room") == {}


async def test_what_is_written_again_lives_on(join, stored, raw):
    one = await join()
    for client in ("c1", "c2"):
        await one.fleet.presence.add("room", ClientInfo("ann", client))
    await one.fleet.users.connected("ann", "c1")
    keys = await stored("presence") | await stored("users")
    for key in keys:
        await raw.expire(key, 5)
    for _ in range(60):
        await one.beat()
    for key in keys:
        assert await raw.ttl(key) > 3600
    assert await one.fleet.presence.stats("room") == PresenceStats(clients=2, users=1)


async def test_keys_go_by_themselves_when_nobody_is_left(join, stored, raw):
    one = await join()
    await one.fleet.presence.add("room", ANN)
    await one.fleet.users.connected("ann", "c1")
    for key in await stored("presence") | await stored("users"):
        assert 3600 < await raw.ttl(key) <= 24 * 3600
