"""What a node wants others to find: whatever fails, overtakes or is forgotten, the server comes to agree with it."""

import asyncio
import contextlib

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from broker.engines.redis.holdings import Holdings
from broker.errors import EngineUnavailable

KEYS = st.sampled_from("abcd")


class Lease:
    """The lease of a node, which may be lost."""

    def __init__(self) -> None:
        self.number = 1

    @property
    def lease(self) -> str:
        return f"node.{self.number}"


class Server:
    """Takes writes when it is told to, in the order it is told; others see only what names the lease that holds."""

    def __init__(self, lease: Lease) -> None:
        self._lease = lease
        self.entries: dict[str, tuple[str, object]] = {}
        self.pending: list[tuple[asyncio.Future[None], str, str, object]] = []
        self.writes = 0

    async def write(self, lease: str, key: str, value: object) -> None:
        answer: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.pending.append((answer, lease, key, value))
        await answer

    def carry_out(self, number: int = 0) -> None:
        """Do one of the pending writes, and answer it."""
        answer, lease, key, value = self.pending.pop(number)
        self.writes += 1
        if value is None:
            self.entries.pop(key, None)
        else:
            self.entries[key] = (lease, value)
        if not answer.done():
            answer.set_result(None)

    def fail(self, number: int = 0) -> None:
        """Leave one of them undone."""
        self.pending.pop(number)[0].set_exception(EngineUnavailable("away"))

    def found(self) -> dict[str, object]:
        return {key: value for key, (lease, value) in self.entries.items() if lease == self._lease.lease}


@pytest.fixture
def lease() -> Lease:
    return Lease()


@pytest.fixture
def server(lease: Lease) -> Server:
    return Server(lease)


@pytest.fixture
def holdings(lease: Lease, server: Server) -> Holdings[str, object]:
    return Holdings(lease, server.write)  # type: ignore[arg-type]  # (only the lease is asked for)


async def turn() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def work_off(server: Server, *works: asyncio.Future[None]) -> None:
    """Carry out everything until these have ended."""
    while not all(work.done() for work in works):
        await turn()
        while server.pending:
            server.carry_out()
    await asyncio.gather(*works)


async def test_a_wish_costs_one_write(holdings, server):
    await work_off(server, asyncio.ensure_future(holdings.put("a", 1)))
    assert server.found() == {"a": 1}
    await work_off(server, asyncio.ensure_future(holdings.drop("a")))
    assert server.found() == {}
    assert server.writes == 2


async def test_a_wish_that_is_known_costs_nothing_where_values_never_differ(holdings, server):
    await work_off(server, asyncio.ensure_future(holdings.put_once("a", True)))
    await holdings.put_once("a", True)
    assert server.writes == 1


async def test_a_wish_that_may_be_unknown_is_written_again(holdings, server):
    first, second = asyncio.ensure_future(holdings.put_once("a", True)), asyncio.ensure_future(holdings.put_once("a", True))
    await turn()
    assert len(server.pending) == 2
    server.fail()
    server.fail()
    for put in (first, second):
        with pytest.raises(EngineUnavailable):
            await put
    await work_off(server, asyncio.ensure_future(holdings.put_once("a", True)))
    assert server.found() == {"a": True}


async def test_a_removal_that_failed_is_made_good(holdings, server):
    await work_off(server, asyncio.ensure_future(holdings.put("a", 1)))
    dropped = asyncio.ensure_future(holdings.drop("a"))
    await turn()
    server.fail()
    with pytest.raises(EngineUnavailable):
        await dropped
    assert (server.found(), holdings.owed) == ({"a": 1}, 1)
    await work_off(server, asyncio.ensure_future(holdings.settle()))
    assert (server.found(), holdings.owed) == ({}, 0)


async def test_a_wish_whose_caller_went_away_is_made_good(holdings, server):
    put = asyncio.ensure_future(holdings.put("a", 1))
    await turn()
    put.cancel()
    await turn()
    server.pending.clear()
    await work_off(server, asyncio.ensure_future(holdings.settle()))
    assert server.found() == {"a": 1}


async def test_a_lease_lost_under_way_has_the_wish_written_under_the_next(holdings, server, lease):
    put = asyncio.ensure_future(holdings.put("a", 1))
    await turn()
    lease.number += 1
    await work_off(server, put)
    assert server.found() == {"a": 1}


async def test_settling_that_fails_leaves_the_rest_owed(holdings, server):
    for key in "abc":
        await work_off(server, asyncio.ensure_future(holdings.put(key, 1)))
    server.entries.clear()
    holdings.owe_all()
    settling = asyncio.ensure_future(holdings.settle())
    await turn()
    server.carry_out()
    server.fail()
    server.carry_out()
    with pytest.raises(EngineUnavailable):
        await settling
    assert (len(server.found()), holdings.owed) == (2, 1)


async def test_in_so_many_rounds_everything_is_written_again(holdings, server):
    for number in range(100):
        await work_off(server, asyncio.ensure_future(holdings.put(f"k{number}", number)))
    server.entries.clear()
    for _ in range(7):
        holdings.owe_some(7)
        await work_off(server, asyncio.ensure_future(holdings.settle()))
    assert len(server.found()) == 100
    assert server.writes == 200


class HoldingsMachine(RuleBasedStateMachine):
    """However writes are answered, fail, overtake each other or are lost: settled, the server agrees with the last wishes."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.lease = Lease()
        self.server = Server(self.lease)
        self.holdings: Holdings[str, object] = Holdings(self.lease, self.server.write)  # type: ignore[arg-type]
        self.wanted: dict[str, int] = {}
        self.works: list[asyncio.Task[None]] = []
        self.values = iter(range(10_000))

    def begin(self, work):
        self.works.append(self.loop.create_task(work))
        self.loop.run_until_complete(turn())

    @rule(key=KEYS)
    def put(self, key):
        self.wanted[key] = next(self.values)
        self.begin(self.holdings.put(key, self.wanted[key]))

    @rule(key=KEYS)
    def drop(self, key):
        self.wanted.pop(key, None)
        self.begin(self.holdings.drop(key))

    @rule(chance=st.integers(0, 100), fails=st.booleans())
    def answer(self, chance, fails):
        if self.server.pending:
            number = chance % len(self.server.pending)
            (self.server.fail if fails else self.server.carry_out)(number)
            self.loop.run_until_complete(turn())

    @rule()
    def lose_the_lease(self):
        self.lease.number += 1
        self.holdings.owe_all()

    @rule()
    def lose_everything(self):
        self.server.entries.clear()
        self.lose_the_lease()

    @rule()
    def settle(self):
        async def all_of_it() -> None:
            while self.server.pending:
                self.server.carry_out()
                await turn()
            await work_off(self.server, asyncio.ensure_future(self.holdings.settle()))

        self.loop.run_until_complete(all_of_it())
        assert self.server.found() == self.wanted
        assert self.holdings.owed == 0

    @invariant()
    def counts_wishes(self):
        assert len(self.holdings) == len(self.wanted)

    def teardown(self):
        for work in self.works:
            work.cancel()
            with contextlib.suppress(EngineUnavailable, asyncio.CancelledError):
                self.loop.run_until_complete(work)
        self.loop.close()


HoldingsMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
test_machine = HoldingsMachine.TestCase
