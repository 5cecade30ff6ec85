"""Leases: who lives is seen by all, the dead are forgotten, and a lease that was lost never comes back."""

import pytest

from broker.engines.redis.leases import LEASE_S
from broker.errors import EngineUnavailable


async def test_each_sees_the_other_at_its_next_look(join):
    one, two = await join(), await join()
    await one.fleet.leases.look()
    assert one.fleet.leases.nodes == two.fleet.leases.nodes == {one.fleet.leases.node_id, two.fleet.leases.node_id}


async def test_a_lease_that_is_not_known_yet_is_asked_for(join):
    one, two = await join(), await join()
    both = {one.fleet.leases.lease, two.fleet.leases.lease}
    assert await one.fleet.leases.living({*both, "nobody.1"}) == both


async def test_what_is_known_costs_no_question(join, cut_off):
    one, two = await join(), await join()
    leases = {one.fleet.leases.lease, two.fleet.leases.lease, "nobody.1"}
    await one.fleet.leases.living(leases)
    with cut_off(one):
        assert await one.fleet.leases.living(leases) == leases - {"nobody.1"}


async def test_a_lease_ends_in_this_nodes_eyes_when_the_server_said_it_would(join, clock):
    one, two = await join(), await join()
    await one.fleet.leases.look()
    clock.move(LEASE_S + 1)
    assert one.fleet.leases.nodes == frozenset()
    assert await one.fleet.leases.living({two.fleet.leases.lease}) == {two.fleet.leases.lease}  # it was renewed meanwhile


async def test_renewing_keeps_the_lease(join):
    one = await join()
    before = one.fleet.leases.lease
    assert not (await one.fleet.leases.renew()).was_lost
    assert one.fleet.leases.lease == before


async def test_a_lease_that_ended_is_never_renewed(join):
    one, two = await join(), await join()
    before = one.fleet.leases.lease
    await one.die()
    beat = await one.fleet.leases.renew()
    assert beat.was_lost
    assert one.fleet.leases.lease != before
    assert await two.fleet.leases.living({before, one.fleet.leases.lease}) == {one.fleet.leases.lease}


async def test_a_lease_that_the_server_forgot_is_taken_anew(join, empty):
    one = await join()
    before = one.fleet.leases.lease
    await empty()
    assert (await one.fleet.leases.renew()).was_lost
    assert one.fleet.leases.lease != before


async def test_a_loss_is_told_also_when_the_answer_to_the_new_lease_was_lost(join, unanswered):
    one = await join()
    await one.die()
    with unanswered(one, runs=2), pytest.raises(EngineUnavailable):
        await one.fleet.leases.renew()
    taken = one.fleet.leases.lease
    assert (await one.fleet.leases.renew()).was_lost
    assert one.fleet.leases.lease == taken
    assert not (await one.fleet.leases.renew()).was_lost


async def test_one_node_at_a_time_is_to_clear_up(join):
    one, two, three = await join(), await join(), await join()
    ended = {three.fleet.leases.lease}
    await three.die()
    assert (await one.fleet.leases.renew()).ended == ended
    assert (await two.fleet.leases.renew()).ended == frozenset()
    assert (await one.fleet.leases.renew()).ended == ended


async def test_when_it_dies_too_another_takes_over(join, raw, stored):
    one, two, three = await join(), await join(), await join()
    await three.die()
    await one.fleet.leases.renew()
    (claim,) = await stored("lease-sweeper")
    assert 10_000 < await raw.pttl(claim) <= 25_000
    await raw.delete(claim)  # as its time brings about
    assert (await two.fleet.leases.renew()).ended == {three.fleet.leases.lease}


async def test_what_was_cleared_up_after_is_forgotten(join, stored):
    one, two = await join(), await join()
    await two.die()
    await one.beat()
    assert (await one.fleet.leases.renew()).ended == frozenset()


async def test_a_node_that_leaves_is_gone_at_once(join):
    one, two = await join(), await join()
    await two.fleet.close()
    await one.fleet.leases.look()
    assert one.fleet.leases.nodes == {one.fleet.leases.node_id}
    assert (await one.fleet.leases.renew()).ended == frozenset()
