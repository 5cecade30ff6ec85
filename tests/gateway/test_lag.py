"""When an event loop is found too late, and when it has recovered."""

import pytest

from gateway.lag import LoopLag

TICK_S = 0.1


def feed(lag: LoopLag, late_s: float, seconds: float) -> None:
    """Let ticks come, each late by so much, for so long."""
    passed = 0.0
    while passed < seconds:
        lag.note(late_s, TICK_S + late_s)
        passed += TICK_S + late_s


def test_punctual_ticks_are_no_lag():
    lag = LoopLag(0.5)
    feed(lag, 0.0, 10)
    assert (lag.average_s, lag.is_overloaded) == (0.0, False)


def test_one_pause_is_forgiven():
    lag = LoopLag(1.0)
    lag.note(1.2, 1.3)
    assert not lag.is_overloaded
    feed(lag, 0.0, 5)
    assert lag.average_s < 0.01


def test_lasting_lateness_is_overload():
    lag = LoopLag(1.0)
    feed(lag, 1.2, 5)
    assert lag.is_overloaded
    assert lag.average_s == pytest.approx(1.2, rel=0.05)


def test_recovers_only_at_half_the_limit():
    lag = LoopLag(1.0)
    feed(lag, 1.5, 10)
    feed(lag, 0.7, 20)
    assert lag.is_overloaded, "below the limit, but not yet recovered"
    feed(lag, 0.4, 20)
    assert not lag.is_overloaded
    feed(lag, 0.7, 20)
    assert not lag.is_overloaded, "above where it recovers, but below the limit"


def test_the_average_is_over_time_and_not_over_ticks():
    """Ten ticks of a tenth weigh as much as one that took a second."""
    many, one = LoopLag(0), LoopLag(0)
    for _ in range(10):
        many.note(0.5, 0.1)
    one.note(0.5, 1.0)
    assert many.average_s == pytest.approx(one.average_s)


def test_ticks_that_come_early_are_no_credit():
    lag = LoopLag(1.0)
    lag.note(-5.0, 0.0)
    assert lag.average_s == 0.0


def test_without_a_limit_nothing_is_too_late():
    lag = LoopLag(0.0)
    feed(lag, 60.0, 600)
    assert (lag.average_s > 30, lag.is_overloaded) == (True, False)


async def test_the_node_feeds_it_from_its_ticker(world):
    world = world(admission={"lag_limit": "500ms"})
    world.node._ticked_at = world.clock.monotonic()
    world.pass_time(1)
    assert world.node.lag.average_s == pytest.approx(0, abs=1e-6)
    for _ in range(5):
        world.clock.move(2)
        world.node._tick()
        world.node._ticker.cancel()
    assert world.node.lag.is_overloaded
    assert world.node.readiness.reasons() == ["overloaded"]
    world.pass_time(5)
    assert world.node.readiness.is_ready
