"""The port Revocation, sentence by sentence. The clock of these tests stands at the Unix second `now`."""

import math

import pytest

from broker.errors import BadInput


@pytest.fixture
def now(clock) -> float:
    return clock.now().timestamp()


@pytest.fixture
def is_revoked(engine):
    def ask(user: str = "ann", token_id: str = "", issued_at: float = 0) -> bool:
        return engine.revocation.is_revoked(user=user, token_id=token_id, issued_at=issued_at)

    return ask


async def test_at_first_every_token_is_trusted(is_revoked):
    assert not is_revoked()
    assert not is_revoked(token_id="t1", issued_at=1)


async def test_a_revoked_token_is_refused_and_no_other(engine, is_revoked, now):
    await engine.revocation.revoke_token("t1", until=now + 60)
    assert is_revoked(token_id="t1", issued_at=now)
    assert not is_revoked(token_id="t2", issued_at=now)
    assert not is_revoked(token_id="")


async def test_a_token_without_id_cannot_be_revoked(engine, now):
    with pytest.raises(BadInput, match="token_id"):
        await engine.revocation.revoke_token("", until=now + 60)


async def test_a_revoked_token_is_refused_until_its_moment(engine, is_revoked, now, pass_time):
    await engine.revocation.revoke_token("t1", until=now + 60)
    await pass_time(59)
    assert is_revoked(token_id="t1")
    await pass_time(1)
    assert not is_revoked(token_id="t1")


async def test_a_second_word_on_a_token_never_shortens_the_first(engine, is_revoked, now, pass_time):
    await engine.revocation.revoke_token("t1", until=now + 60)
    await engine.revocation.revoke_token("t1", until=now + 10)
    await pass_time(20)
    await engine.revocation.revoke_token("t2", until=now + 90)
    assert is_revoked(token_id="t1")


async def test_a_users_older_tokens_are_refused(engine, is_revoked, now):
    await engine.revocation.revoke_user_tokens("ann", issued_before=now, until=now + 60)
    assert is_revoked(issued_at=now - 1)
    assert not is_revoked(issued_at=now)
    assert not is_revoked(issued_at=now + 1)
    assert not is_revoked(user="bob", issued_at=now - 1)


async def test_a_token_that_does_not_say_when_is_refused_with_the_older_ones(engine, is_revoked, now):
    await engine.revocation.revoke_user_tokens("ann", issued_before=now, until=now + 60)
    assert is_revoked(issued_at=0)


async def test_a_users_tokens_are_refused_until_their_moment(engine, is_revoked, now, pass_time):
    await engine.revocation.revoke_user_tokens("ann", issued_before=now, until=now + 60)
    await pass_time(59)
    assert is_revoked(issued_at=now - 1)
    await pass_time(1)
    assert not is_revoked(issued_at=now - 1)


async def test_a_second_word_on_a_user_never_weakens_the_first(engine, is_revoked, now, pass_time):
    await engine.revocation.revoke_user_tokens("ann", issued_before=now, until=now + 60)
    await engine.revocation.revoke_user_tokens("ann", issued_before=now - 100, until=now + 10)
    await pass_time(20)
    await engine.revocation.revoke_user_tokens("bob", issued_before=now, until=now + 90)
    assert is_revoked(issued_at=now - 50)


async def test_both_kinds_are_asked(engine, is_revoked, now):
    await engine.revocation.revoke_token("t1", until=now + 60)
    await engine.revocation.revoke_user_tokens("bob", issued_before=now, until=now + 60)
    assert is_revoked(user="ann", token_id="t1", issued_at=now + 1)
    assert is_revoked(user="bob", token_id="t2", issued_at=now - 1)
    assert not is_revoked(user="bob", token_id="t2", issued_at=now + 1)


async def test_tokens_of_one_channel_are_refused_alone(engine, is_revoked, now):
    await engine.revocation.revoke_user_tokens("ann", issued_before=now, until=now + 60, channel="news")
    assert engine.revocation.is_revoked(user="ann", token_id="", issued_at=now - 1, channel="news")
    assert not engine.revocation.is_revoked(user="ann", token_id="", issued_at=now, channel="news")
    assert not engine.revocation.is_revoked(user="ann", token_id="", issued_at=now - 1, channel="chat")
    assert not is_revoked(issued_at=now - 1)


async def test_a_word_on_a_user_counts_for_every_channel(engine, now):
    await engine.revocation.revoke_user_tokens("ann", issued_before=now, until=now + 60)
    await engine.revocation.revoke_user_tokens("ann", issued_before=now - 50, until=now + 60, channel="news")
    assert engine.revocation.is_revoked(user="ann", token_id="", issued_at=now - 1, channel="news")


async def test_words_may_hold_for_ever(engine, is_revoked, now, pass_time):
    await engine.revocation.revoke_token("t1", until=math.inf)
    await engine.revocation.revoke_user_tokens("ann", issued_before=now, until=math.inf)
    await engine.revocation.block_user("ann", until=math.inf)
    await pass_time(1_000_000)
    assert is_revoked(user="bob", token_id="t1", issued_at=now)
    assert is_revoked(issued_at=now - 1)
    assert engine.revocation.is_blocked("ann")


async def test_a_blocked_user_is_blocked_until_its_moment(engine, now, pass_time):
    await engine.revocation.block_user("ann", until=now + 60)
    assert engine.revocation.is_blocked("ann")
    assert not engine.revocation.is_blocked("bob")
    await pass_time(59)
    assert engine.revocation.is_blocked("ann")
    await pass_time(1)
    assert not engine.revocation.is_blocked("ann")


async def test_the_latest_word_on_a_blocked_user_counts(engine, now, pass_time):
    await engine.revocation.block_user("ann", until=math.inf)
    await engine.revocation.block_user("ann", until=now + 10)
    await pass_time(20)
    assert not engine.revocation.is_blocked("ann")


async def test_an_unblocked_user_may_come_again(engine, now):
    await engine.revocation.block_user("ann", until=now + 60)
    await engine.revocation.unblock_user("ann")
    await engine.revocation.unblock_user("bob")
    assert not engine.revocation.is_blocked("ann")


async def test_nobody_cannot_be_blocked(engine, now):
    with pytest.raises(BadInput, match="user"):
        await engine.revocation.block_user("", until=now + 60)
