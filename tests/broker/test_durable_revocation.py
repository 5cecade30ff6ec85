"""Revocations that outlive the engine: what one process said holds in the next, whatever the engine remembers."""

import math

import pytest

from broker.durable_revocation import DurableRevocation
from broker.engines.memory.revocation import MemoryRevocation
from broker.errors import BadInput, EngineUnavailable, StoreUnavailable
from broker.revocation_records import RevocationWord, WordKind
from config.clock import ManualClock


class Records:
    """The port RevocationRecords in memory, which may be away."""

    def __init__(self) -> None:
        self.words: dict[tuple[str, str, str], RevocationWord] = {}
        self.is_away = False

    async def keep(self, word: RevocationWord) -> None:
        self._check()
        self.words[word.kind, word.subject, word.channel] = word

    async def forget_block(self, user: str) -> None:
        self._check()
        self.words.pop((WordKind.BLOCK, user, ""), None)

    async def all(self) -> list[RevocationWord]:
        self._check()
        return list(self.words.values())

    def _check(self) -> None:
        if self.is_away:
            raise StoreUnavailable("away")


class Engine(MemoryRevocation):
    """A memory engine's words, which may be away from their fleet, and counts what it is told."""

    def __init__(self, clock: ManualClock) -> None:
        super().__init__(clock)
        self.is_away = False
        self.said = 0

    async def revoke_token(self, token_id: str, *, until: float) -> None:
        self.said += 1
        await super().revoke_token(token_id, until=until)
        if self.is_away:
            raise EngineUnavailable("away")


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def records() -> Records:
    return Records()


@pytest.fixture
def engine(clock: ManualClock) -> Engine:
    return Engine(clock)


@pytest.fixture
def revocation(engine: Engine, records: Records) -> DurableRevocation:
    return DurableRevocation(engine, records)


async def test_every_word_holds_in_the_next_process(
    revocation: DurableRevocation, records: Records, clock: ManualClock
) -> None:
    now = clock.now().timestamp()
    await revocation.revoke_token("t1", until=now + 60)
    await revocation.revoke_user_tokens("ann", issued_before=now, until=math.inf)
    await revocation.revoke_user_tokens("ben", issued_before=now, until=math.inf, channel="news")
    await revocation.block_user("cem", until=math.inf)
    await revocation.block_user("dan", until=math.inf)
    await revocation.unblock_user("dan")

    later = DurableRevocation(Engine(clock), records)
    assert await later.restore() == 4
    for one in (revocation, later):
        assert one.is_revoked(user="x", token_id="t1", issued_at=now)
        assert one.is_revoked(user="ann", token_id="", issued_at=now - 0.001)
        assert not one.is_revoked(user="ann", token_id="", issued_at=now)
        assert one.is_revoked(user="ben", token_id="", issued_at=now - 1, channel="news")
        assert not one.is_revoked(user="ben", token_id="", issued_at=now - 1)
        assert one.is_blocked("cem")
        assert not one.is_blocked("dan")
    clock.move(61)
    assert not later.is_revoked(user="x", token_id="t1", issued_at=now)


async def test_an_engine_that_knows_is_told_nothing(revocation: DurableRevocation, engine: Engine, clock: ManualClock) -> None:
    now = clock.now().timestamp()
    await revocation.revoke_token("t1", until=now + 60)
    await revocation.revoke_user_tokens("ann", issued_before=now, until=now + 60)
    await revocation.block_user("cem", until=now + 60)
    assert await revocation.restore() == 0
    assert engine.said == 1
    engine.clear()
    assert await revocation.restore() == 3
    assert engine.said == 2


async def test_many_words_are_restored(engine: Engine, records: Records) -> None:
    for number in range(250):
        await records.keep(RevocationWord(WordKind.TOKEN, f"t{number}", math.inf))
    assert await DurableRevocation(engine, records).restore() == 250
    assert engine.is_revoked(user="", token_id="t249", issued_at=0)


async def test_what_one_of_both_takes_holds_and_the_caller_learns_of_the_other(
    revocation: DurableRevocation, engine: Engine, records: Records
) -> None:
    records.is_away = True
    with pytest.raises(StoreUnavailable):
        await revocation.revoke_token("t1", until=math.inf)
    assert revocation.is_revoked(user="", token_id="t1", issued_at=0)
    records.is_away, engine.is_away = False, True
    with pytest.raises(EngineUnavailable):
        await revocation.revoke_token("t2", until=math.inf)
    assert [word.subject for word in await records.all()] == ["t2"]


async def test_nobody_is_let_in_before_the_words_are_read(revocation: DurableRevocation, records: Records) -> None:
    records.is_away = True
    with pytest.raises(StoreUnavailable):
        await revocation.restore()


async def test_a_word_that_is_none_is_not_kept(revocation: DurableRevocation, records: Records) -> None:
    with pytest.raises(BadInput):
        await revocation.revoke_token("", until=math.inf)
    with pytest.raises(BadInput):
        await revocation.block_user("", until=math.inf)
    assert records.words == {}
