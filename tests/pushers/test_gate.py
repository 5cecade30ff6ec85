"""When a provider may be called: breaker, pauses and the provider's own word together."""

import pytest

from broker.breaker import BreakerState
from broker.notification import Provider
from pushers.gate import Gate
from pushers.outcome import Accepted, Ambiguous, ConfigPause, DropDevice, DropMessage, Retry, TooLarge


@pytest.fixture
def gate(clock):
    return Gate(Provider.FCM, clock)


def call(gate, outcome):
    permit = gate.enter()
    assert permit is not None
    gate.leave(permit, outcome)


@pytest.mark.parametrize("outcome", [Ambiguous("timeout"), Retry("503"), Retry("connect", is_failure=True)])
def test_what_the_provider_is_to_blame_for_opens_the_breaker(gate, outcome):
    for _ in range(20):
        call(gate, outcome)
    assert gate.state is BreakerState.OPEN
    assert 54.0 <= gate.blocked_s() <= 66.0


def test_what_it_is_not_to_blame_for_does_not(gate, clock):
    innocent = [
        Accepted(),
        Retry("429", is_failure=False),
        DropDevice("gone", clock.now()),
        DropMessage("bad"),
        TooLarge(4096),
    ]
    for outcome in innocent * 20:
        call(gate, outcome)
    assert gate.state is BreakerState.CLOSED
    assert gate.blocked_s() == 0.0


def test_a_slow_call_is_measured_by_the_clock(gate, clock):
    for _ in range(20):
        permit = gate.enter()
        clock.move(5.1)
        gate.leave(permit, Accepted())
    assert gate.state is BreakerState.CLOSED, "twenty calls of five seconds do not fall into a minute"
    permits = [gate.enter() for _ in range(20)]
    clock.move(6.0)
    for permit in permits:
        gate.leave(permit, Accepted())
    assert gate.state is BreakerState.OPEN


def test_the_last_call_is_told(gate, clock):
    permit = gate.enter()
    clock.move(0.25)
    gate.leave(permit, Retry("503"))
    assert (gate.last.latency_ms, gate.last.error, gate.last.failing_since) == (250.0, "503", gate.last.at)
    call(gate, DropMessage("too odd"))
    assert (gate.last.error, gate.last.failing_since) == ("503", None)


def test_a_word_for_the_lane_holds_everything(gate, clock):  # N-16
    call(gate, Retry("503", after_s=30.0, scope="lane"))
    assert gate.enter() is None
    assert 30.0 <= gate.blocked_s() <= 33.0
    clock.move(33.1)
    assert gate.enter() is not None


@pytest.mark.parametrize(("told_s", "least_s"), [(0.0, 1.0), (0.2, 1.0), (7.0, 7.0), (3600.0, 3600.0), (86400.0, 3600.0)])
def test_a_word_for_the_lane_counts_between_a_second_and_an_hour_and_a_tenth_more(gate, clock, told_s, least_s):  # N-16
    call(gate, Retry("429", told_s, "lane", is_failure=False))
    assert least_s <= gate.blocked_s() <= 1.1 * least_s
    clock.move(least_s - 0.001)
    assert gate.enter() is None, "to the second"


def test_a_later_shorter_word_takes_nothing_from_an_earlier_longer_one(gate):  # N-16
    permits = [gate.enter() for _ in range(2)]
    gate.leave(permits[0], Retry("429", 600.0, "lane", is_failure=False))
    gate.leave(permits[1], Retry("429", 5.0, "lane", is_failure=False))
    assert gate.blocked_s() >= 600.0


@pytest.mark.parametrize("outcome", [Retry("429", after_s=30.0), Retry("429", after_s=30.0, scope="device"), Retry("503")])
def test_a_word_for_one_message_holds_nobody_else(gate, outcome):
    call(gate, outcome)
    assert gate.blocked_s() == 0.0


def test_wrong_settings_are_probed_by_one_call_and_each_complaint_doubles_the_pause(gate, clock):  # N-13
    pauses = []
    for _ in range(6):
        call(gate, ConfigPause("no such key", after_s=60.0))
        pauses.append(gate.blocked_s())
        assert gate.enter() is None
        clock.move(gate.blocked_s() + 0.1)
    for pause_s, told_s in zip(pauses, (60, 120, 240, 480, 900, 900), strict=True):
        assert told_s <= pause_s <= told_s * 1.1
    probe = gate.enter()
    assert gate.enter() is None, "a single probe"
    assert not gate.is_wide_open
    gate.leave(probe, Accepted())
    assert gate.is_wide_open


def test_complaints_beside_the_first_are_one(gate):
    permits = [gate.enter() for _ in range(10)]
    for permit in permits:
        gate.leave(permit, ConfigPause("no such key", after_s=60.0))
    assert gate.blocked_s() <= 66.0


def test_a_probe_that_fails_otherwise_proves_nothing(gate, clock):
    call(gate, ConfigPause("no such key"))
    clock.move(67.0)
    call(gate, Retry("503"))
    assert not gate.is_wide_open
    gate.abandon(gate.enter())
    assert gate.enter() is not None


def test_what_is_held_against_the_settings_is_told_until_a_probe_passes(gate, clock):
    assert gate.complaint == ""
    call(gate, ConfigPause("InvalidProviderToken"))
    assert gate.complaint == "InvalidProviderToken"
    clock.move(66.1)
    assert gate.complaint == "InvalidProviderToken"
    call(gate, Accepted())
    assert gate.complaint == ""


def test_new_settings_are_tried_at_once_by_a_single_probe(gate):
    call(gate, ConfigPause("403"))
    assert gate.enter() is None
    gate.trust_again()
    assert gate.blocked_s() == 0.0
    probe = gate.enter()
    assert probe is not None
    assert gate.enter() is None, "the others wait for what the probe brings"
    gate.leave(probe, Accepted())
    assert gate.is_wide_open


def test_new_settings_that_are_wrong_too_pause_for_longer(gate):
    call(gate, ConfigPause("403"))
    gate.trust_again()
    call(gate, ConfigPause("403"))
    assert 120.0 <= gate.blocked_s() <= 132.0


def test_new_settings_do_not_cut_the_providers_own_word_short(gate):  # R11
    call(gate, Retry("429", after_s=30.0, scope="lane", is_failure=False))
    gate.trust_again()
    assert gate.blocked_s() >= 30.0
