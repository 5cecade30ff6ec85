"""What only the memory engine promises of revocations: a word that is over is let go."""

import pytest

from broker.engines.memory.revocation import MemoryRevocation
from config.clock import ManualClock


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def revocation(clock: ManualClock) -> MemoryRevocation:
    return MemoryRevocation(clock)


async def test_words_that_are_over_are_swept_by_new_ones(revocation, clock):
    start = clock.now().timestamp()
    for number in range(1000):
        await revocation.revoke_token(f"t{number}", until=start + number + 10)
        await revocation.revoke_user_tokens(f"u{number}", issued_before=start, until=start + number + 10)
        await revocation.block_user(f"u{number}", until=start + number + 10)
        clock.move(1)
    assert len(revocation) <= 33


async def test_a_prolonged_word_survives_the_sweep_of_its_first_end(revocation, clock):
    start = clock.now().timestamp()
    await revocation.revoke_token("t", until=start + 10)
    await revocation.revoke_token("t", until=start + 100)
    await revocation.revoke_user_tokens("ann", issued_before=start, until=start + 10)
    await revocation.revoke_user_tokens("ann", issued_before=start, until=start + 100)
    clock.move(50)
    await revocation.revoke_token("other", until=start + 60)
    await revocation.revoke_user_tokens("bob", issued_before=start, until=start + 60)
    assert len(revocation) == 4
    assert revocation.is_revoked(user="", token_id="t", issued_at=start + 1)
    assert revocation.is_revoked(user="ann", token_id="", issued_at=start - 1)


async def test_clear_trusts_everybody(revocation, clock):
    start = clock.now().timestamp()
    await revocation.revoke_token("t", until=start + 10)
    await revocation.revoke_user_tokens("ann", issued_before=start, until=start + 10)
    revocation.clear()
    assert len(revocation) == 0
    assert not revocation.is_revoked(user="ann", token_id="t", issued_at=0)
