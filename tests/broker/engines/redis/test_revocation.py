"""What only a fleet promises of revocations: every node refuses at once, and no loss lets anybody in again."""

import math

import pytest

from broker.control import Recheck
from broker.errors import EngineUnavailable


@pytest.fixture
def now(clock) -> float:
    return clock.now().timestamp()


def refuses_token(member, token_id="t1"):
    return member.fleet.revocation.is_revoked(user="x", token_id=token_id, issued_at=math.inf)


def refuses_older(member, user, issued_at, channel=""):
    return member.fleet.revocation.is_revoked(user=user, token_id="", issued_at=issued_at, channel=channel)


async def test_every_node_refuses_what_one_was_told(join, until, now):
    one, two = await join(), await join()
    await one.fleet.revocation.revoke_token("t1", until=math.inf)
    await one.fleet.revocation.revoke_user_tokens("ann", issued_before=now, until=now + 60, channel="news")
    await two.fleet.revocation.block_user("bob", until=now + 60)
    for member in (one, two):
        await until(lambda member=member: member.fleet.revocation.statistics().held == 3)
        assert refuses_token(member)
        assert refuses_older(member, "ann", now - 1, "news")
        assert not refuses_older(member, "ann", now - 1)
        assert member.fleet.revocation.is_blocked("bob")


async def test_a_node_that_joins_later_knows_what_was_said(join, now):
    one = await join()
    await one.fleet.revocation.revoke_token("t1", until=math.inf)
    await one.fleet.revocation.revoke_user_tokens("ann", issued_before=now + 0.5, until=math.inf)
    await one.fleet.revocation.block_user("bob", until=now + 60)
    await one.fleet.revocation.block_user("cat", until=now + 60)
    await one.fleet.revocation.unblock_user("cat")
    two = await join()
    assert refuses_token(two)
    assert refuses_older(two, "ann", now)
    assert not refuses_older(two, "ann", now + 0.5)
    assert two.fleet.revocation.is_blocked("bob")
    assert not two.fleet.revocation.is_blocked("cat")


async def test_the_stronger_word_counts_whoever_said_it(join, until, now, clock):
    one, two = await join(), await join()
    await one.fleet.revocation.revoke_token("t1", until=now + 60)
    await two.fleet.revocation.revoke_token("t1", until=now + 10)
    await one.fleet.revocation.revoke_user_tokens("ann", issued_before=now - 100, until=now + 60)
    await two.fleet.revocation.revoke_user_tokens("ann", issued_before=now, until=now + 10)
    three = await join()
    clock.move(20)
    for member in (one, two, three):
        await until(lambda member=member: refuses_older(member, "ann", now - 50))
        assert refuses_token(member)


async def test_the_latest_word_on_a_user_counts_everywhere(join, until, now):
    one, two = await join(), await join()
    for number in range(20):
        await one.fleet.revocation.block_user("ann", until=math.inf)
        await two.fleet.revocation.unblock_user("ann")
        await (one, two)[number % 2].fleet.revocation.block_user("bob", until=now + number + 1)
    for member in (one, two):
        await until(lambda member=member: member.fleet.revocation.statistics().number == 60)
        assert not member.fleet.revocation.is_blocked("ann")


async def test_a_word_that_was_not_heard_is_found_at_the_next_beat(join, deaf, now):
    one, two = await join(), await join()
    await one.fleet.revocation.block_user("bob", until=math.inf)
    async with deaf(two):
        await one.fleet.revocation.revoke_token("t1", until=math.inf)
        await one.fleet.revocation.unblock_user("bob")
        await one.fleet.revocation.block_user("ann", until=math.inf)
    await one.fleet.revocation.revoke_token("t2", until=math.inf)  # heard, with a gap before it
    assert not refuses_token(two)
    await two.beat()
    assert refuses_token(two)
    assert refuses_token(two, "t2")
    assert two.fleet.revocation.is_blocked("ann")
    assert not two.fleet.revocation.is_blocked("bob")


async def test_after_the_server_was_emptied_nobody_is_let_in(join, empty, now, until):
    one, two = await join(), await join()
    await one.fleet.revocation.revoke_token("t1", until=math.inf)
    await one.fleet.revocation.revoke_user_tokens("ann", issued_before=now, until=now + 60)
    await one.fleet.revocation.block_user("bob", until=math.inf)
    await until(lambda: two.fleet.revocation.statistics().held == 3)
    await empty()
    await two.beat()
    await one.beat()
    three = await join()
    for member in (one, two, three):
        assert refuses_token(member)
        assert refuses_older(member, "ann", now - 1)
        assert member.fleet.revocation.is_blocked("bob")
    assert one.fleet.revocation.statistics() == three.fleet.revocation.statistics()


async def test_words_said_after_the_loss_are_joined_with_those_before(join, empty, until):
    one, two = await join(), await join()
    await one.fleet.revocation.revoke_token("t1", until=math.inf)
    await until(lambda: refuses_token(two))
    await empty()
    await one.fleet.revocation.revoke_token("t2", until=math.inf)
    await until(lambda: refuses_token(two, "t2"))
    await two.beat()
    three = await join()
    assert refuses_token(three)
    assert refuses_token(three, "t2")


async def test_with_redis_away_this_node_refuses_and_the_caller_is_told(join, cut_off):
    one = await join()
    with cut_off(one), pytest.raises(EngineUnavailable):
        await one.fleet.revocation.revoke_token("t1", until=math.inf)
    assert refuses_token(one)


async def test_saying_it_again_tells_the_others(join, deaf, until):
    one, two = await join(), await join()
    async with deaf(two):
        await one.fleet.revocation.revoke_token("t1", until=math.inf)
    await one.fleet.revocation.revoke_token("t1", until=math.inf)
    await until(lambda: refuses_token(two))


async def test_words_that_are_over_go_from_the_server(join, clock, raw, stored, now):
    one = await join()
    for number in range(100):
        await one.fleet.revocation.revoke_token(f"t{number}", until=now + 10)
    clock.move(1000)
    for number in range(20):
        await one.fleet.revocation.revoke_token(f"later{number}", until=math.inf)
    (words,) = [key for key in await stored("words") if b"version" not in key]
    assert await raw.hlen(words) == 20


async def test_many_words_are_read_at_the_start(join, until):
    one = await join()
    for number in range(2500):
        await one.fleet.revocation.revoke_token(f"t{number}", until=math.inf)
    two = await join()
    assert two.fleet.revocation.statistics().held == 2500


async def test_words_that_were_learnt_late_are_turned_on_who_is_in_already(join, deaf, until):
    one, two = await join(), await join()
    async with deaf(two):
        await one.fleet.revocation.revoke_token("t1", until=math.inf)
    await two.beat()
    await until(lambda: two.node.performed == [Recheck()])
    await two.beat()
    await one.beat()
    assert (len(one.node.performed), len(two.node.performed)) == (0, 1)  # nothing was learnt by either


async def test_a_node_that_comes_back_looks_at_once_for_what_it_missed(join, deaf, until, raw):
    one, two = await join(), await join()
    async with deaf(two):
        await one.fleet.revocation.revoke_token("t1", until=math.inf)
    await raw.client_kill_filter(_type="pubsub")
    await until(lambda: refuses_token(two))
