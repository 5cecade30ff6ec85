"""A rate that each node judges at once and shares soon after: nobody gets more than is promised, and nobody waits in vain."""

import asyncio
import math

from hypothesis import given
from hypothesis import strategies as st

from broker.engines.memory.limits import MemoryLimits
from broker.errors import EngineUnavailable
from broker.limits import Allowance, Rate
from config.clock import ManualClock
from gateway.shared_rate import SharedRate
from gateway.tasks import Tasks


class Fleet:
    """Nodes that share allowances; `tell` has each tell the others what it has let through."""

    def __init__(self, nodes, rate, *, limits=None, **options):
        self.clock, self.tasks, self._due = ManualClock(), Tasks(), []
        self.limits = limits or MemoryLimits(self.clock)
        self.nodes = [
            SharedRate(
                "door.test",
                rate,
                self.clock,
                limits=self.limits,
                tasks=self.tasks,
                after=lambda delay_s, call: self._due.append((self.clock.monotonic() + delay_s, call)),
                **options,
            )
            for _ in range(nodes)
        ]

    async def tell(self, after_s=0.1):
        self.clock.move(after_s)
        due = [call for at, call in self._due if at <= self.clock.monotonic() + 1e-6]
        self._due = [(at, call) for at, call in self._due if at > self.clock.monotonic() + 1e-6]
        for call in due:
            call()
        await self.tasks.drain(10)


class Away:
    """Limits of an engine that does not answer."""

    def __init__(self):
        self.asked = 0

    async def spend(self, _key, _rate, *, cost=1):
        self.asked += 1
        raise EngineUnavailable("away")


def spent(node, count, key="a"):
    """How many of so many were let through."""
    return sum(not node.spend(key) for _ in range(count))


def test_a_burst_is_let_through_and_comes_back_with_time():
    clock = ManualClock()
    rate = SharedRate("one", Rate(2.0, 4), clock)
    assert spent(rate, 9) == 4
    assert rate.spend("a") == 0.5
    assert rate.refused == 6
    assert spent(rate, 9, "b") == 4  # another key has its own
    clock.move(1.0)
    assert spent(rate, 9) == 2
    assert rate.look("a") == Allowance(0.5, 0, 2.0)


@given(st.floats(0.1, 1000), st.integers(1, 50), st.lists(st.floats(0, 3), max_size=60))
def test_never_more_than_the_burst_and_what_time_brings(per_s, burst, pauses):
    clock = ManualClock()
    rate = SharedRate("one", Rate(per_s, burst), clock)
    granted = passed = 0.0
    for pause in pauses:
        clock.move(pause)
        passed += pause
        granted += spent(rate, 3)
        assert granted <= burst + passed * per_s + 1e-3


@given(st.floats(0.1, 100), st.integers(1, 20))
def test_who_waits_as_told_is_let_through(per_s, burst):
    clock = ManualClock()
    rate = SharedRate("one", Rate(per_s, burst), clock)
    spent(rate, burst)
    clock.move(rate.spend("a") + 1e-6)
    assert rate.spend("a") == 0.0


async def test_what_one_node_let_through_the_other_knows_soon_after():
    fleet = Fleet(2, Rate(1.0, 10))
    one, other = fleet.nodes
    assert spent(one, 8) == 8
    assert spent(other, 1) == 1
    await fleet.tell()
    assert spent(other, 9) == 1  # eight, one, and this one
    await fleet.tell()
    # It has not told anything since, so it does not know of the last ones yet; what it gives too much is paid.
    assert spent(one, 9) <= 2
    await fleet.tell()
    assert spent(one, 9) == spent(other, 9) == 0


async def test_what_is_too_much_to_be_paid_at_once_is_not_left_to_the_others():
    fleet = Fleet(2, Rate(0.001, 4))
    one, other = fleet.nodes
    assert spent(other, 1) == 1  # and it is the first to tell
    assert spent(one, 4) == 4
    await fleet.tell()
    assert spent(other, 1) == 1  # it has heard of its own alone
    await fleet.tell()
    assert spent(other, 4) == spent(one, 4) == 0
    await fleet.tell(1000.0)
    assert spent(one, 4) == spent(other, 4) == 0  # what was one too much on each is paid


async def test_a_debt_that_meets_what_is_new_is_paid_as_well():
    fleet = Fleet(4, Rate(100.0, 20))
    let_through = 0
    for _ in range(500):
        let_through += sum(spent(node, 8) for node in fleet.nodes)
        await fleet.tell(0.02)
    assert 0.9 <= let_through / (10 * 100) <= 1.2, "what 10 s bring, and what the nodes could not know at first"


async def test_between_two_tellings_each_node_gives_the_rate_once_and_pays_for_it():
    fleet = Fleet(3, Rate(1.0, 10))
    assert [spent(node, 20) for node in fleet.nodes] == [10, 10, 10]
    await fleet.tell()
    granted = 30
    for _ in range(60):
        fleet.clock.move(0.9)
        granted += sum(spent(node, 2) for node in fleet.nodes)
        await fleet.tell()
    assert granted <= 30 + 60 + 3
    assert granted >= 60


async def test_what_is_slow_on_every_node_is_not_told():
    fleet = Fleet(1, Rate(160.0, 100), interval_s=1.0)
    asked = []
    limits_spend = fleet.limits.spend

    async def spend(key, rate, *, cost=1):
        asked.append((key, cost))
        return await limits_spend(key, rate, cost=cost)

    fleet.limits.spend = spend
    spent(fleet.nodes[0], 9, "slow")
    spent(fleet.nodes[0], 10, "fast")
    await fleet.tell(1.0)
    assert asked == [("door.test:fast", 10)]


async def test_without_an_engine_each_node_judges_alone_and_counts_what_it_could_not_tell():
    away = Away()
    fleet = Fleet(1, Rate(1.0, 3), limits=away)
    node = fleet.nodes[0]
    assert spent(node, 9) == 3
    await fleet.tell()
    assert (node.untold, away.asked) == (1, 1)
    fleet.clock.move(0.9)
    assert spent(node, 9) == 1
    await fleet.tell()
    assert (node.untold, away.asked) == (2, 1)  # it is left alone for a while
    fleet.clock.move(6.0)
    spent(node, 1)
    await fleet.tell()
    assert away.asked == 2


def test_who_only_goes_on_waits_for_ever_where_refusals_cost():
    rate = SharedRate("one", Rate(10.0, 5), ManualClock(), refused_cost=0.25)
    waits = [rate.spend("a") for _ in range(26)]
    assert waits[:5] == [0.0] * 5
    assert all(0 < wait < math.inf for wait in waits[5:25])
    assert waits[25] == math.inf


def test_keys_are_bounded_and_whole_ones_are_forgotten():
    clock = ManualClock()
    rate = SharedRate("one", Rate(100.0, 1), clock)
    for number in range(100):
        rate.spend(str(number))
        clock.move(0.02)
    assert len(rate) <= 2
    slow = SharedRate("two", Rate(0.001, 1), clock)
    for number in range(100_100):
        slow.spend(str(number))
    assert len(slow) == 100_000


async def test_nothing_is_told_while_nothing_is_asked():
    fleet = Fleet(1, Rate(1.0, 3))
    fleet.nodes[0].spend("a")
    await fleet.tell()
    assert fleet._due == []
    assert len(fleet.tasks) == 0
    await asyncio.sleep(0)
    assert fleet._due == []
