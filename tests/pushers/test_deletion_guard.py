"""N-24: many devices called gone at once are a mix-up of ours until somebody says otherwise."""

import pytest
from structlog.testing import capture_logs

from config.operation_settings import DeletionGuardSettings
from pushers.deletion_guard import DeletionGuard
from pushers.outcome import Accepted, Ambiguous, ConfigPause, DropDevice, DropMessage, Retry

SETTINGS = DeletionGuardSettings(share=0.05, doubtful_share=0.02, least=50, window=600.0)


@pytest.fixture
def guard(clock):
    return DeletionGuard("apns", SETTINGS, clock)


@pytest.fixture
def gone(clock):
    return DropDevice("Unregistered", clock.now())


@pytest.fixture
def doubtful(clock):
    return DropDevice("SENDER_ID_MISMATCH", clock.now(), confident=False)


def answers(guard, outcome, count):
    return [guard.allows(outcome) for _ in range(count)]


@pytest.mark.parametrize(
    ("accepted", "unregistered", "allowed"),
    [
        (0, 50, 50),  # as many as are never too many
        (0, 51, 50),
        (0, 500, 50),
        (950, 50, 50),
        (1000, 60, 52),  # 53 of 1053 are more than 5 %
        (10_000, 500, 500),  # a share that is usual
        (10_000, 1000, 526),
    ],
)
def test_what_exceeds_number_and_share_is_kept(guard, gone, accepted, unregistered, allowed):  # N-24
    answers(guard, Accepted(), accepted)
    assert answers(guard, gone, unregistered).count(True) == allowed
    assert guard.is_keeping == (allowed < unregistered)
    assert guard.kept == unregistered - allowed


def test_a_wave_of_doubtful_answers_keeps_devices_too(guard, gone, doubtful):  # N-24: more than 2 %
    answers(guard, Accepted(), 3000)
    assert answers(guard, doubtful, 61) == [True] * 61  # they remove nothing themselves
    assert not guard.is_keeping
    answers(guard, doubtful, 10)
    assert guard.is_keeping
    assert not guard.allows(gone)


def test_what_says_nothing_of_a_device_is_not_counted(guard, gone):
    for outcome in (Retry("503"), Ambiguous("timeout"), ConfigPause("key")):
        assert all(answers(guard, outcome, 5000))
    assert answers(guard, gone, 60).count(True) == 50


def test_it_opens_by_itself_when_the_share_is_normal_again(guard, gone, clock):
    answers(guard, gone, 60)
    answers(guard, Accepted(), 1200)
    assert guard.is_keeping, "60 of 1260 would be allowed, and it takes half of that to open"
    answers(guard, DropMessage("bad"), 1200)
    assert not guard.is_keeping
    assert guard.allows(gone)


def test_it_opens_when_the_wave_has_left_the_window(guard, gone, clock):
    answers(guard, gone, 60)
    clock.move(570)
    assert guard.is_keeping
    clock.move(31)
    assert not guard.is_keeping


def test_a_wave_that_goes_on_keeps_it_closed(guard, gone, clock):
    for _ in range(40):
        answers(guard, gone, 60)
        clock.move(60)
        assert guard.is_keeping


def test_a_slow_trickle_never_closes_it(guard, gone, clock):
    for _ in range(500):
        assert guard.allows(gone)
        clock.move(15)


def test_an_operators_word_is_believed_for_a_window(guard, gone, clock):
    answers(guard, gone, 60)
    guard.trust()
    assert not guard.is_keeping
    assert all(answers(guard, gone, 1000))
    clock.move(600)
    assert answers(guard, gone, 60).count(True) == 50


def test_it_can_be_switched_off(clock, gone):
    guard = DeletionGuard("apns", DeletionGuardSettings(enabled=False), clock)
    assert all(answers(guard, gone, 1000))


def test_closing_and_opening_are_told_once(guard, gone, clock):
    with capture_logs() as logs:
        answers(guard, gone, 200)
        clock.move(700)
        assert not guard.is_keeping
    told = [(line["event"], line["log_level"]) for line in logs]
    assert told == [("deletion_guard.closed", "error"), ("deletion_guard.opened", "warning")]
    assert logs[0] | {"provider": "apns", "unregistered": 51, "answers": 51} == logs[0]
