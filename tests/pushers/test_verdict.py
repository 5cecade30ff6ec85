"""From outcomes to rows: the whole table."""

from datetime import UTC, datetime, timedelta

import pytest

from broker.ledger import StepKind
from broker.notification import Outcome, Provider
from pushers import verdict
from pushers.outcome import Accepted, Ambiguous, ConfigPause, DropDevice, DropMessage, Retry, TooLarge
from pushers.retry import RetryPolicy

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def judge(step, device):
    def make(outcome, *, attempt=1, provider=Provider.FCM, notification=None, policy=None):
        sent = step(notification, StepKind.SEND, attempt=attempt, device=device(provider))
        return verdict.judge(
            sent,
            sent.device,
            outcome,
            policy=policy or RetryPolicy(),
            now=NOW,
            resume_at=NOW + timedelta(seconds=60),
            spread=0.5,
        )

    return make


@pytest.mark.parametrize(
    ("outcome", "told", "detail"),
    [
        (Accepted("id-7"), Outcome.ACCEPTED, "id-7"),
        (DropMessage("BadTopic"), Outcome.REFUSED, "BadTopic"),
        (TooLarge(4096), Outcome.REFUSED, "larger than 4096 bytes"),
        (DropDevice("BadDeviceToken", NOW, confident=False), Outcome.REFUSED, "BadDeviceToken"),
        (DropDevice("Unregistered", NOW), Outcome.UNREGISTERED, "Unregistered"),
    ],
)
def test_what_ends_a_step(judge, outcome, told, detail):
    done = judge(outcome)
    assert (done.entry.outcome, done.entry.detail) == (told, detail)
    assert (done.retry_at, done.replan_at, done.counts) == (None, NOW, True)


def test_a_line_says_who_where_and_which_attempt(judge):
    entry = judge(Accepted(), attempt=3, provider=Provider.EMAIL).entry
    assert (entry.route, entry.provider, entry.address) == ("email", "email", "a…@example.org")
    assert (entry.device_id, entry.attempt, entry.at) == ("device-email", 3, NOW)


def test_only_a_dead_address_is_dropped(judge):
    assert judge(DropDevice("Unregistered", NOW)).drop_device == NOW
    for outcome in (Accepted(), DropMessage("x"), TooLarge(1), Retry("x"), Ambiguous("x"), DropDevice("x", NOW, False)):
        assert judge(outcome).drop_device is None


@pytest.mark.parametrize("outcome", [Retry("503"), Ambiguous("timeout")])
def test_what_may_pass_later_is_tried_again_and_counts(judge, outcome):
    done = judge(outcome, attempt=2)
    assert done.entry.outcome is Outcome.RETRY
    assert done.retry_at == NOW + timedelta(seconds=0.1)
    assert done.counts


@pytest.mark.parametrize(("outcome", "told"), [(Retry("503"), Outcome.GAVE_UP), (Ambiguous("timeout"), Outcome.UNKNOWN)])
def test_the_last_try_ends_the_step(judge, outcome, told):
    done = judge(outcome, attempt=6)
    assert (done.entry.outcome, done.retry_at) == (told, None)


def test_a_retry_that_would_come_too_late_gives_way_to_the_next_route(judge, notification):
    soon = notification(expires_at=NOW + timedelta(seconds=30))
    done = judge(Retry("429", after_s=30.0), notification=soon)
    assert (done.entry.outcome, done.retry_at) == (Outcome.GAVE_UP, None)
    assert judge(Retry("429", after_s=20.0), notification=soon).retry_at is not None


def test_mail_follows_its_own_table(judge):
    done = judge(Retry("451"), attempt=7, provider=Provider.EMAIL)
    assert done.retry_at == NOW + timedelta(seconds=14400 * 1.05)


def test_wrong_settings_cost_no_try_and_wait_for_the_probe(judge, notification):
    done = judge(ConfigPause("no such key"))
    assert (done.entry.outcome, done.retry_at, done.counts) == (Outcome.PAUSED, NOW + timedelta(seconds=60), False)
    soon = notification(expires_at=NOW + timedelta(seconds=30))
    assert judge(ConfigPause("no such key"), notification=soon).retry_at == soon.expires_at


def test_put_off_tells_nothing_costs_nothing_and_returns_to_expire(step, notification):
    sent = step(notification(expires_at=NOW + timedelta(seconds=30)), StepKind.SEND)
    done = verdict.put_off(sent, until=NOW + timedelta(seconds=20), now=NOW)
    assert (done.entry, done.retry_at, done.counts) == (None, NOW + timedelta(seconds=20), False)
    assert verdict.put_off(sent, until=NOW + timedelta(seconds=90), now=NOW).retry_at == NOW + timedelta(seconds=30)


def test_the_ends_without_a_call(step, device):
    sent = step(None, StepKind.SEND, device=device())
    assert verdict.expired(sent, sent.device, now=NOW).entry.outcome is Outcome.EXPIRED
    assert verdict.unconfigured(sent, sent.device, now=NOW).entry.outcome is Outcome.PAUSED
    assert verdict.removed(sent, now=NOW).entry is None
    broken = verdict.broken(sent, sent.device, policy=RetryPolicy(max_retries=0), now=NOW, spread=0.0)
    assert (broken.entry.outcome, broken.entry.detail) == (Outcome.GAVE_UP, "internal error")


def test_what_a_repeat_would_double_is_not_repeated(judge):  # N-5: no handle, no second call
    done = judge(Ambiguous("timeout", may_repeat=False), attempt=1)
    assert (done.entry.outcome, done.retry_at) == (Outcome.UNKNOWN, None)
    assert done.entry.detail == "no answer, and a repeat could double: timeout"
