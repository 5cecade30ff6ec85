"""What only a fleet promises of users: found wherever they are connected, and not where a node has died."""

import pytest

from broker.errors import EngineUnavailable

ANN, BOB = frozenset({"ann"}), frozenset({"bob"})


async def test_users_of_all_nodes_are_online(join):
    one, two = await join(), await join()
    await one.fleet.users.connected("ann", "c1")
    await two.fleet.users.connected("bob", "c2")
    for member in (one, two):
        assert await member.fleet.users.online(ANN | BOB | {"cat"}) == ANN | BOB


async def test_a_user_on_two_nodes_is_online_until_both_have_lost_it(join):
    one, two = await join(), await join()
    await one.fleet.users.connected("ann", "c1")
    await two.fleet.users.connected("ann", "c2")
    await one.fleet.users.disconnected("ann", "c1")
    assert await one.fleet.users.online(ANN) == ANN
    await two.fleet.users.disconnected("ann", "c2")
    assert await one.fleet.users.online(ANN) == frozenset()


async def test_many_users_are_asked_for_at_once(join):
    one, two = await join(), await join()
    users = [f"user {number}" for number in range(5000)]
    for number, user in enumerate(users[:1000]):
        await (one, two)[number % 2].fleet.users.connected(user, f"c{number}")
    assert await one.fleet.users.online(frozenset(users)) == frozenset(users[:1000])


async def test_a_dead_nodes_users_are_offline_when_its_lease_has_ended(join, stored):
    one, two = await join(), await join()
    await one.fleet.users.connected("ann", "c1")
    for number in range(300):
        await two.fleet.users.connected(f"u{number}", f"c{number}")
    await two.fleet.users.connected("ann", "c2")
    await two.fleet.users.connected("bob", "c3")
    await two.die()
    await one.fleet.leases.look()
    assert await one.fleet.users.online(ANN | BOB) == ANN
    await one.beat()
    assert len(await stored("users")) == 1
    assert await one.fleet.users.online(ANN | BOB) == ANN


async def test_after_the_server_was_emptied_users_come_back(join, empty):
    one, two = await join(), await join()
    await one.fleet.users.connected("ann", "c1")
    await two.fleet.users.connected("bob", "c2")
    await empty()
    assert await one.fleet.users.online(ANN | BOB) == frozenset()
    await one.beat()
    await two.beat()
    assert await one.fleet.users.online(ANN | BOB) == ANN | BOB


async def test_who_went_while_the_server_was_away_does_not_stay(join, cut_off):
    one, two = await join(), await join()
    await two.fleet.users.connected("ann", "c1")
    with cut_off(two):
        with pytest.raises(EngineUnavailable):
            await two.fleet.users.disconnected("ann", "c1")
        with pytest.raises(EngineUnavailable):
            await two.fleet.users.connected("bob", "c2")
    await two.beat()
    assert await one.fleet.users.online(ANN | BOB) == BOB


async def test_a_user_named_like_a_lease_confuses_nobody(join):
    one, two = await join(), await join()
    lease = two.fleet.leases.lease
    await one.fleet.users.connected(lease, "c1")
    await two.die()
    await one.beat()
    assert await one.fleet.users.online(frozenset({lease})) == {lease}
