"""The breaker by cases and as a machine beside a model (N-11)."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from broker.breaker import NEXT, Breaker, BreakerEvent, BreakerRules, BreakerState

MIDDLE = 0.5  # neither shortens nor prolongs


def call(breaker, now, *, failed=False, took_s=0.1, spread=MIDDLE):
    permit = breaker.begin(now)
    assert permit is not None
    breaker.end(permit, failed=failed, took_s=took_s, now=now, spread=spread)


def opened(now=0.0, spread=MIDDLE):
    breaker = Breaker()
    for _ in range(20):
        call(breaker, now, failed=True, spread=spread)
    return breaker


def test_the_figures():
    assert BreakerRules() == BreakerRules(10, 0.5, 20, 60.0, 5.0, 60.0, 600.0, 0.1, 5, 5)


def test_it_opens_at_half_of_the_last_ten_once_twenty_were_seen():
    breaker = Breaker()
    for _ in range(19):
        call(breaker, 0.0, failed=True)
    assert breaker.state(0.0) is BreakerState.CLOSED
    call(breaker, 0.0, failed=True)
    assert breaker.state(0.0) is BreakerState.OPEN


@pytest.mark.parametrize(("failures", "state"), [(4, BreakerState.CLOSED), (5, BreakerState.OPEN)])
def test_only_the_last_ten_decide(failures, state):
    breaker = Breaker()
    for _ in range(30):
        call(breaker, 0.0)
    for _ in range(10 - failures):
        call(breaker, 0.0)
    for _ in range(failures):
        call(breaker, 0.0, failed=True)
    assert breaker.state(0.0) is state


def test_a_slow_call_counts_as_a_failure():
    breaker = Breaker()
    for _ in range(20):
        call(breaker, 0.0, took_s=5.0)
    assert breaker.state(0.0) is BreakerState.CLOSED
    for _ in range(5):
        call(breaker, 0.0, took_s=5.1)
    assert breaker.state(0.0) is BreakerState.OPEN


def test_a_provider_that_is_hardly_used_is_not_judged():
    breaker = Breaker()
    for number in range(100):
        call(breaker, number * 4.0, failed=True)
    assert breaker.state(400.0) is BreakerState.CLOSED


def test_open_lets_nothing_through_for_a_minute_then_one():
    breaker = opened()
    assert breaker.begin(59.9) is None
    assert breaker.blocked_s(20.0) == pytest.approx(40.0)
    assert breaker.begin(60.0) is not None
    assert breaker.begin(60.0) is None, "the first probe goes alone"
    assert breaker.blocked_s(60.0) == 0.0


def test_after_a_good_probe_five_may_be_under_way_and_five_successes_close():
    breaker = opened()
    call(breaker, 60.0)
    permits = [breaker.begin(60.0) for _ in range(5)]
    assert None not in permits
    assert breaker.begin(60.0) is None
    for permit in permits[:4]:
        assert breaker.state(60.0) is BreakerState.HALF_OPEN
        breaker.end(permit, failed=False, took_s=0.1, now=60.0, spread=MIDDLE)
    assert breaker.state(60.0) is BreakerState.CLOSED


def test_each_reopening_doubles_the_rest_up_to_ten_minutes():
    breaker, now = opened(), 0.0
    for rest_s in (60.0, 120.0, 240.0, 480.0, 600.0, 600.0, 600.0):
        assert breaker.blocked_s(now) == pytest.approx(rest_s)
        now += rest_s
        call(breaker, now, failed=True)


def test_a_failure_after_some_successes_is_a_reopening_too():
    breaker = opened()
    for _ in range(4):
        call(breaker, 60.0)
    call(breaker, 60.0, failed=True)
    assert breaker.blocked_s(60.0) == pytest.approx(120.0)


def test_what_closed_begins_with_a_minute_again():
    breaker = opened()
    call(breaker, 60.0, failed=True)
    for _ in range(5):
        call(breaker, 180.0)
    assert breaker.state(180.0) is BreakerState.CLOSED
    for _ in range(20):
        call(breaker, 200.0, failed=True)
    assert breaker.blocked_s(200.0) == pytest.approx(60.0)


@pytest.mark.parametrize("reopenings", [0, 1, 4, 5, 70])
@given(spread=st.floats(0.0, 1.0, exclude_max=True))
def test_the_rest_is_spread_by_a_tenth_to_both_sides(reopenings, spread):
    breaker, now = opened(spread=spread), 0.0
    for _ in range(reopenings):
        now += breaker.blocked_s(now) + 0.001
        call(breaker, now, failed=True, spread=spread)
    rest_s = min(600.0, 60.0 * 2**reopenings)
    assert breaker.blocked_s(now) == pytest.approx(rest_s * (0.9 + 0.2 * spread))


def test_a_service_may_always_get_the_same_rest():
    breaker = Breaker(BreakerRules(open_s=5.0, open_cap_s=5.0))
    for _ in range(20):
        call(breaker, 0.0, failed=True)
    call(breaker, 5.0, failed=True)
    assert breaker.blocked_s(5.0) == pytest.approx(5.0)


def test_a_call_from_another_life_is_not_counted():
    breaker = Breaker()
    old = [breaker.begin(0.0) for _ in range(30)]
    for _ in range(20):
        call(breaker, 0.0, failed=True)
    probe = breaker.begin(60.0)
    for permit in old:
        breaker.end(permit, failed=True, took_s=60.0, now=60.0, spread=MIDDLE)
    assert breaker.state(60.0) is BreakerState.HALF_OPEN
    breaker.end(probe, failed=False, took_s=0.1, now=60.0, spread=MIDDLE)
    assert breaker.begin(60.0) is not None


def test_an_abandoned_probe_lets_another_go():
    breaker = opened()
    breaker.abandon(breaker.begin(60.0))
    assert breaker.begin(60.0) is not None


def test_the_table_has_no_way_from_closed_to_half_open():
    assert {(before, after) for (before, _), after in NEXT.items()} == {
        (BreakerState.CLOSED, BreakerState.OPEN),
        (BreakerState.OPEN, BreakerState.HALF_OPEN),
        (BreakerState.HALF_OPEN, BreakerState.CLOSED),
        (BreakerState.HALF_OPEN, BreakerState.OPEN),
    }
    assert {event for _, event in NEXT} == set(BreakerEvent)


class BreakerMachine(RuleBasedStateMachine):
    """Whatever calls begin and end, in whatever order, the breaker keeps its promises.

    The model counts lives: every change of state that is seen begins a new one.
    """

    def __init__(self):
        super().__init__()
        self.now = 0.0
        self.breaker = Breaker()
        self.seen, self.life = BreakerState.CLOSED, 0
        self.opened_at, self.rest_s = 0.0, 0.0
        self.under_way = []

    def look(self):
        """See the state, and hold a change against the table."""
        state = self.breaker.state(self.now)
        if state is not self.seen:
            assert (self.seen, state) in {(before, after) for (before, _), after in NEXT.items()}
            if state is BreakerState.OPEN:
                again = self.seen is BreakerState.HALF_OPEN
                self.opened_at, self.rest_s = self.now, min(600.0, 2 * self.rest_s) if again else 60.0
                assert self.breaker.blocked_s(self.now) == pytest.approx(self.rest_s)
            if self.seen is BreakerState.OPEN:
                assert self.now - self.opened_at >= self.rest_s
            self.seen, self.life = state, self.life + 1
        return state

    def of_this_life(self):
        return [entry for entry in self.under_way if entry[1] == self.life]

    @rule(seconds=st.sampled_from([0.0, 0.5, 3.0, 59.0, 61.0, 700.0]))
    def pass_time(self, seconds):
        self.now += seconds
        self.look()

    @rule(count=st.integers(1, 30))
    def begin(self, count):
        for _ in range(count):
            permit = self.breaker.begin(self.now)
            assert (permit is not None) if self.seen is BreakerState.CLOSED else True
            assert (permit is None) if self.seen is BreakerState.OPEN else True
            if permit is not None:
                self.under_way.append((permit, self.life))

    @precondition(lambda self: self.under_way)
    @rule(data=st.data(), failed=st.booleans(), took_s=st.sampled_from([0.1, 6.0]), count=st.integers(1, 20))
    def end(self, data, failed, took_s, count):
        for _ in range(min(count, len(self.under_way))):
            permit, life = self.under_way.pop(data.draw(st.integers(0, len(self.under_way) - 1)))
            before, is_current = self.seen, life == self.life
            self.breaker.end(permit, failed=failed, took_s=took_s, now=self.now, spread=MIDDLE)
            after = self.look()
            if after is not before:
                assert is_current, "a call of another life moved it"
                assert (failed or took_s > 5.0) is (after is BreakerState.OPEN)
            elif before is BreakerState.HALF_OPEN and is_current:
                assert not failed, "one failure opens it again"

    @precondition(lambda self: self.under_way)
    @rule(data=st.data())
    def abandon(self, data):
        permit, _ = self.under_way.pop(data.draw(st.integers(0, len(self.under_way) - 1)))
        self.breaker.abandon(permit)
        self.look()

    @invariant()
    def few_probe(self):
        if self.seen is BreakerState.HALF_OPEN:
            assert len(self.of_this_life()) <= 5

    @invariant()
    def blocks_only_when_open(self):
        assert (self.breaker.blocked_s(self.now) > 0) == (self.seen is BreakerState.OPEN)


TestBreakerMachine = BreakerMachine.TestCase
TestBreakerMachine.settings = settings(deadline=None, max_examples=60, stateful_step_count=40)
