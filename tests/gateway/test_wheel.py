"""The timing wheel and the ring of pings, under a clock that jumps at will."""

from itertools import pairwise

import pytest
import structlog
from hypothesis import example, given, settings
from hypothesis import strategies as st

from config.clock import ManualClock
from gateway.wheel import PingRing, Wheel

FUZZ_S = 1e-6  # readings of a clock are sums of fractions

delays = st.floats(0, 100) | st.sampled_from([0.0, 0.05, 0.1, 0.3, 0.7, 1.0, 86400.0])
jumps = st.sampled_from([0.0, 0.01, 0.1, 0.1, 0.1, 0.3, 2.5, 60.0]) | st.floats(0, 50)


@given(st.lists(st.tuples(jumps, st.lists(delays, max_size=3)), max_size=30), st.sampled_from([0.1, 0.05, 1.0, 0.3]))
@example([(0.0, [0.3]), (0.1, []), (0.1, []), (0.1, []), (0.1, [])], 0.1)
@settings(deadline=None)
def test_never_early_and_at_most_a_tick_late(steps, tick_s):
    clock = ManualClock()
    wheel = Wheel(clock, tick_s)
    waiting, called = {}, []
    number = 0
    for jump, new in steps:
        clock.move(jump)
        wheel.turn()
        now = clock.monotonic()
        for call in called:
            assert waiting.pop(call) <= now + FUZZ_S, "early, or twice"
        called.clear()
        assert all(now < deadline + tick_s + FUZZ_S for deadline in waiting.values()), "late"
        for delay in new:
            number += 1
            waiting[number] = now + delay
            wheel.after(delay, called.append, number)
        assert len(wheel) == len(waiting)


def test_ticks_are_told_once():
    clock = ManualClock()
    wheel = Wheel(clock, 0.5)
    assert wheel.turn() == 0
    clock.move(1.75)
    assert wheel.turn() == 3
    assert wheel.turn() == 0
    clock.move(0.25)
    assert wheel.turn() == 1


def test_deadlines_are_called_in_order_of_their_ticks():
    clock = ManualClock()
    wheel = Wheel(clock, 0.1)
    called = []
    for delay in (3.0, 1.0, 2.0):
        wheel.after(delay, called.append, delay)
    clock.move(10)
    wheel.turn()
    assert called == [1.0, 2.0, 3.0]


def test_a_call_may_set_the_next_deadline():
    clock = ManualClock()
    wheel = Wheel(clock, 0.1)
    called = []

    def again():
        called.append(clock.monotonic())
        wheel.after(0, again)

    wheel.after(0, again)
    for _ in range(5):
        clock.move(0.1)
        wheel.turn()
    assert len(called) >= 4
    assert len(wheel) == 1


def test_a_call_that_fails_costs_the_others_nothing():
    clock = ManualClock()
    wheel = Wheel(clock, 0.1)
    called = []
    wheel.after(0.5, called.append, 1)
    wheel.after(0.5, lambda: 1 / 0)
    wheel.after(0.5, called.append, 2)
    wheel.after(0.7, called.append, 3)
    clock.move(1)
    with structlog.testing.capture_logs() as logs:
        assert wheel.turn() == 10
    assert called == [1, 2, 3]
    assert [entry["event"] for entry in logs] == ["deadline.failed"]


class Pinged:
    """Notes when it was pinged and checked."""

    def __init__(self, clock):
        self.clock, self.pings, self.checks = clock, [], []

    def ping(self):
        self.pings.append(self.clock.monotonic())

    def check_pong(self):
        self.checks.append(self.clock.monotonic())


times = st.sampled_from([(25.0, 8.0, 0.1), (1.0, 0.3, 0.1), (2.0, 1.5, 0.1), (0.3, 0.1, 0.03)])


@given(times, st.integers(0, 400), st.integers(0, 9))
@settings(deadline=None)
def test_each_is_pinged_once_an_interval_and_checked_after_the_timeout(times, before, seed):
    interval_s, timeout_s, tick_s = times
    clock = ManualClock(seed=seed)
    ring = PingRing(clock, interval_s, timeout_s, tick_s)

    def pass_time(ticks):
        for _ in range(ticks):
            clock.move(tick_s)
            ring.turn(1)

    pass_time(before)
    client = Pinged(clock)
    start = clock.monotonic()
    slot = ring.add(client)
    ticks = round(interval_s / tick_s)
    pass_time(4 * ticks)
    first = client.pings[0] - start
    assert interval_s / 2 < first + FUZZ_S
    assert first <= interval_s + FUZZ_S
    assert len(client.pings) in (3, 4)
    for one, next_one in pairwise(client.pings):
        assert next_one - one == pytest.approx(interval_s)
    for ping in client.pings:
        checks = [check - ping for check in client.checks if check > ping]
        if checks:
            assert timeout_s - FUZZ_S <= checks[0] <= timeout_s + tick_s + FUZZ_S
    ring.discard(client, slot)
    pings = len(client.pings)
    pass_time(2 * ticks)
    assert len(client.pings) == pings


def test_first_pings_are_spread():
    clock = ManualClock()
    ring = PingRing(clock, 25, 8, 0.1)
    assert len({ring.add(Pinged(clock)) for _ in range(500)}) > 80


def test_a_node_that_was_held_up_pings_each_once_and_gives_each_time_to_answer():
    class Impatient(Pinged):
        def check_pong(self):
            assert self.clock.monotonic() not in self.pings, "asked and judged in the same breath"
            super().check_pong()

    clock = ManualClock()
    ring = PingRing(clock, 25, 8, 0.1)
    clients = [Impatient(clock) for _ in range(200)]
    for client in clients:
        ring.add(client)
    clock.move(60)
    ring.turn(600)
    assert all(len(client.pings) == 1 for client in clients)
    # From the next round on it is as before: whoever is pinged is judged.
    for _ in range(250 + 80):
        clock.move(0.1)
        ring.turn(1)
    assert all(len(client.pings) >= 2 and client.checks[-1] > client.pings[1] for client in clients)


def test_a_client_that_fails_costs_the_others_nothing():
    class Broken(Pinged):
        def ping(self):
            raise RuntimeError("the transport is gone")

    clock = ManualClock()
    ring = PingRing(clock, 1, 0.5, 0.5)
    clients = [Pinged(clock), Broken(clock), Pinged(clock), Broken(clock), Pinged(clock)]
    for client in clients:
        ring.add(client)
    with structlog.testing.capture_logs() as logs:
        for _ in range(2):
            ring.turn(1)
    assert [entry["event"] for entry in logs] == ["ping.failed"] * 2
    assert [len(client.pings) for client in clients] == [1, 0, 1, 0, 1]
