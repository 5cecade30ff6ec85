"""Two nodes that remember, with one store and one second level, against a model: how old may be what they tell."""

import asyncio
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from broker.caching.cache import Cache, Terms
from broker.caching.caches import Caches
from broker.control import Forget
from broker.errors import EngineUnavailable, Unavailable
from config.clock import ManualClock, settle

FRESH_S, STALE_S = 5.0, 20.0
TERMS = Terms("numbers", limit=1, fresh_s=FRESH_S, stale_s=STALE_S, nothing_s=2.0)
homes = st.sampled_from("aab")
nodes = st.integers(0, 1)


class Codec:
    encode = staticmethod(msgspec.msgpack.encode)
    decode = staticmethod(msgspec.msgpack.decode)


class Words:
    """The port Control of one node: words to the other one wait until they are delivered or lost."""

    def __init__(self) -> None:
        self.waiting: list[Forget] = []
        self.is_away = False

    async def send(self, command: Forget) -> None:
        if self.is_away:
            raise EngineUnavailable("nobody is told")
        self.waiting.append(command)


class Node:
    def __init__(self, store: Any, shelf: Any, clock: ManualClock) -> None:
        self.words = Words()
        self.caches = Caches(self.words, clock)  # type: ignore[arg-type]  # (what is needed of it)
        self.cache = self.caches.add(Cache(TERMS, store.read, clock, shared=shelf, codec=Codec(), is_nothing=lambda n: n == 0))


class CacheMachine(RuleBasedStateMachine):
    """What is read was true a moment ago; what a node has heard of, it does not forget again."""

    make_shelf: Callable[[ManualClock], Any]
    make_numbers: Callable[[], Any]

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.Runner()
        self.loop.run(self._open())
        # For each home when each of its values was replaced; and by node and home the value that nothing older may follow.
        self.replaced_at: dict[str, list[float]] = defaultdict(list)
        self.least: dict[tuple[int, str], int] = defaultdict(int)
        self.under_way: list[tuple[int, str, int, asyncio.Task[int]]] = []
        self.back_at = 0.0
        # Changes on their way to the other node, whose second level was told as well.
        self.said: dict[int, list[tuple[str, int]]] = {0: [], 1: []}

    async def _open(self) -> None:
        self.clock = ManualClock()
        self.store, self.shelf = self.make_numbers(), self.make_shelf(self.clock)
        self.nodes = [Node(self.store, self.shelf, self.clock) for _ in range(2)]

    @rule(node=nodes, home=homes)
    def change(self, node: int, home: str) -> None:
        async def write() -> int:
            self.store.values[home] = self.store.values.get(home, 0) + 1
            self.replaced_at[home].append(self.clock.monotonic())
            return self.store.values[home]

        changed = {TERMS.name: (home,)}
        value = self.loop.run(self.nodes[node].caches.change(write(), changed))
        self.least[node, home] = value
        if not self.nodes[node].words.is_away:
            self.said[node].append((home, 0 if self.shelf.is_away else value))

    @rule(node=nodes, home=homes)
    def read(self, node: int, home: str) -> None:
        self.begin_read(node, home)
        self.finish_reads()

    @rule(node=nodes, home=homes)
    def begin_read(self, node: int, home: str) -> None:
        async def begin() -> asyncio.Task[int]:
            self.store.gate.clear()
            reading = asyncio.ensure_future(self.nodes[node].cache.get(home))
            await settle(8)
            return reading

        self.under_way.append((node, home, self.least[node, home], self.loop.run(begin())))

    @precondition(lambda self: self.under_way)
    @rule()
    def finish_reads(self) -> None:
        async def finish() -> None:
            self.store.gate.set()
            await asyncio.gather(*(reading for *_, reading in self.under_way), return_exceptions=True)
            await settle(8)

        self.loop.run(finish())
        for _, home, least, reading in self.under_way:
            if isinstance(reading.exception(), Unavailable):
                continue
            self.check(home, reading.result(), least)
        self.under_way.clear()

    @rule(node=nodes, changer=nodes, home=homes, news=st.sampled_from(["hear", "miss", "lose", "wait"]), joins=st.booleans())
    def be_overtaken(self, node: int, changer: int, home: str, news: str, joins: bool) -> None:
        """Something changes, and is told or not, while it is being read; then it is asked for again."""
        self.begin_read(node, home)
        self.change(changer, home)
        if news != "wait":
            getattr(self, news)(node)
        if joins:
            self.begin_read(node, home)
        self.finish_reads()
        self.read(node, home)

    @rule(
        changer=nodes, home=homes, waits=st.lists(st.sampled_from([0.5, 1.5, 3.0]), min_size=1, max_size=4), ends=st.booleans()
    )
    def slip_by(self, changer: int, home: str, waits: list[float], ends: bool) -> None:
        """Something changes while nobody can be told; then it is asked for again and again, perhaps while the store is away."""
        self.read(1 - changer, home)
        self.shelf.is_away = True
        self.change(changer, home)
        self.miss(1 - changer)
        self.shelf.is_away = False
        for wait_s in waits:
            self.pass_time(wait_s)
            self.read(1 - changer, home)
        self.read(changer, home)
        if ends:
            self.store_goes_or_comes(is_away=True)
            self.pass_time(30.0)
            self.read(1 - changer, home)
            self.store_goes_or_comes(is_away=False)

    def check(self, home: str, value: int, least: int) -> None:
        assert value >= least, "an old value came back"
        replaced_at = self.replaced_at[home]
        if value < len(replaced_at):
            age_s = self.clock.monotonic() - replaced_at[value]
            # What stands in for the store is given out for a second more.
            may_stand_in = self.store.is_away or self.clock.monotonic() - self.back_at <= 1.0
            assert age_s <= FRESH_S + (STALE_S if may_stand_in else 0.0), f"replaced {age_s} s ago"

    @rule(seconds=st.sampled_from([0.5, 1.5, 3.0, 6.0, 30.0]))
    def pass_time(self, seconds: float) -> None:
        if self.under_way:
            self.finish_reads()
        self.clock.move(seconds)

    @rule(node=nodes)
    def hear(self, node: int) -> None:
        """The other node's words arrive."""
        for command in self.nodes[1 - node].words.waiting:
            self.nodes[node].caches.hear(command)
        for home, value in self.said[1 - node]:
            self.least[node, home] = max(self.least[node, home], value)
        self.nodes[1 - node].words.waiting.clear()
        self.said[1 - node].clear()

    @rule(node=nodes)
    def miss(self, node: int) -> None:
        """They are lost, and the node finds out that something was: then it knows as much as if it had heard them."""
        self.nodes[1 - node].words.waiting = [Forget()]
        self.hear(node)

    @rule(node=nodes)
    def lose(self, node: int) -> None:
        """They are lost, and nobody knows."""
        self.nodes[1 - node].words.waiting.clear()
        self.said[1 - node].clear()

    @rule(is_away=st.booleans())
    def store_goes_or_comes(self, is_away: bool) -> None:
        if self.under_way:
            self.finish_reads()
        if self.store.is_away and not is_away:
            self.back_at = self.clock.monotonic()
        self.store.is_away = is_away

    @rule(is_away=st.booleans())
    def shelf_goes_or_comes(self, is_away: bool) -> None:
        self.shelf.is_away = is_away

    @rule(node=nodes, is_away=st.booleans())
    def words_go_or_come(self, node: int, is_away: bool) -> None:
        self.nodes[node].words.is_away = is_away

    @invariant()
    def is_bounded(self) -> None:
        for node in self.nodes:
            statistics = node.cache.statistics()
            assert statistics.entries <= TERMS.limit
            assert len(node.cache._local._keys_by_tag) == statistics.entries
            assert bool(node.cache._reads) <= bool(self.under_way)
            assert bool(node.cache._changed_at) <= bool(self.under_way)

    def teardown(self) -> None:
        if self.under_way:
            self.finish_reads()
        self.loop.close()


@pytest.fixture(autouse=True)
def parts(make_shelf: Callable[[ManualClock], Any], make_numbers: Callable[[], Any]) -> None:
    CacheMachine.make_shelf, CacheMachine.make_numbers = staticmethod(make_shelf), staticmethod(make_numbers)


def test_what_is_remembered_was_true_a_moment_ago(request: pytest.FixtureRequest) -> None:
    from hypothesis.stateful import run_state_machine_as_test

    run_state_machine_as_test(CacheMachine, settings=settings(max_examples=60, stateful_step_count=40, deadline=None))
