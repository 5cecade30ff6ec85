"""Who is let in, over each transport, and how those who are not are counted."""

from hypothesis import given, settings
from hypothesis import strategies as st

from config.clock import ManualClock
from config.settings import ClientSettings
from gateway.admission import DRAINING, FULL, OVERLOADED, TOO_FAST, Admission
from gateway.lag import LoopLag


class Door:
    """An admission whose surroundings the test decides."""

    def __init__(self, **client):
        self.clock, self.lag, self.open = ManualClock(), LoopLag(1.0), 0
        self.admission = Admission(ClientSettings(**client), self.lag, lambda: self.open, self.clock)

    def ask(self):
        return self.admission.ask()


def test_by_default_everybody_is_let_in():
    door = Door()
    assert all(door.ask() is None for _ in range(100_000))
    assert sum(door.admission.denied_by_reason.values()) == 0


def test_beyond_the_limit_of_connections():
    door = Door(connection_limit=2)
    door.open = 1
    assert door.ask() is None
    door.open = 2
    assert door.ask() is FULL
    door.open = 1
    assert door.ask() is None


def test_one_seconds_worth_may_come_at_once_and_then_the_rate_holds():
    door = Door(connection_rate_limit=10)
    assert [door.ask() for _ in range(12)] == [None] * 10 + [TOO_FAST] * 2
    door.clock.move(0.1)
    assert [door.ask() for _ in range(2)] == [None, TOO_FAST]
    door.clock.move(60)
    assert [door.ask() for _ in range(11)] == [None] * 10 + [TOO_FAST]


@given(rate=st.integers(1, 1000), gaps=st.lists(st.floats(0, 0.5), max_size=200))
@settings(deadline=None)
def test_never_more_than_the_rate_and_one_second_at_once(rate, gaps):
    door = Door(connection_rate_limit=rate)
    let_in = 0
    for gap in gaps:
        door.clock.move(gap)
        let_in += door.ask() is None
    assert let_in <= rate * (sum(gaps) + 1) + 1
    assert door.admission.denied_by_reason["rate"] == len(gaps) - let_in


def test_those_whom_a_limit_keeps_out_spend_nothing_of_the_rate():
    door = Door(connection_limit=1, connection_rate_limit=1)
    door.open = 1
    assert door.ask() is FULL
    door.open = 0
    assert door.ask() is None


def test_an_overloaded_loop_takes_nobody():
    door = Door()
    door.lag.is_overloaded = True
    assert door.ask() is OVERLOADED
    door.lag.is_overloaded = False
    assert door.ask() is None
    assert door.admission.denied_by_reason == {"connections": 0, "rate": 0, "lag": 1, "draining": 0, "override": 0}


def test_every_denial_says_when_to_come_back():
    for denial in (DRAINING, FULL, OVERLOADED, TOO_FAST):
        assert denial.retry_after_s >= 1
