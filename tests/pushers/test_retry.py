"""The schedule of retries, by its figures and by its bounds."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.settings import NotificationSettings
from pushers.retry import MAIL_WAITS_S, Exhausted, RetryAt, RetryPolicy, next_mail_try, next_try

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SPREADS = st.floats(0, 1, exclude_max=True)
JITTERS = st.sampled_from(["full", "equal", "decorrelated"])


def wait_s(decision):
    assert isinstance(decision, RetryAt)
    return (decision.at - NOW).total_seconds()


@pytest.mark.parametrize(("attempt", "ceiling_s"), [(1, 0.1), (2, 0.2), (3, 0.4), (9, 25.6), (10, 30.0), (50, 30.0)])
def test_the_ceiling_doubles_up_to_the_cap(attempt, ceiling_s):  # N-15
    policy = RetryPolicy(max_retries=50)
    assert wait_s(next_try(policy, attempt, now=NOW, spread=0.5)) == pytest.approx(ceiling_s / 2)


@pytest.mark.parametrize(
    ("jitter", "attempt", "least_s", "most_s"),
    [("full", 3, 0.0, 0.4), ("equal", 3, 0.2, 0.4), ("decorrelated", 1, 0.1, 0.3), ("decorrelated", 2, 0.1, 0.6)],
)
def test_jitter_spreads_over_its_range(jitter, attempt, least_s, most_s):  # N-15
    policy = RetryPolicy(jitter=jitter)
    assert wait_s(next_try(policy, attempt, now=NOW, spread=0.0)) == pytest.approx(least_s)
    assert wait_s(next_try(policy, attempt, now=NOW, spread=1 - 1e-9)) == pytest.approx(most_s)


def test_five_retries_follow_the_first_try():  # N-15
    assert isinstance(next_try(RetryPolicy(), 5, now=NOW, spread=0.5), RetryAt)
    assert next_try(RetryPolicy(), 6, now=NOW, spread=0.5) == Exhausted(6)


@pytest.mark.parametrize(
    ("after_s", "spread", "told_s"), [(0.0, 0.0, 1.0), (20.0, 0.0, 20.0), (20.0, 0.5, 21.0), (1e6, 0.0, 3600.0)]
)
def test_the_providers_word_wins_within_a_second_and_an_hour(after_s, spread, told_s):  # N-16
    assert wait_s(next_try(RetryPolicy(), 1, now=NOW, spread=spread, after_s=after_s)) == pytest.approx(told_s)


@given(attempt=st.integers(1, 10_000), spread=SPREADS, jitter=JITTERS, limit=st.integers(0, 10_000))
def test_no_wait_is_negative_or_above_the_cap(attempt, spread, jitter, limit):
    decision = next_try(RetryPolicy(max_retries=limit, jitter=jitter), attempt, now=NOW, spread=spread)
    if attempt > limit:
        assert isinstance(decision, Exhausted)
    else:
        assert 0 <= wait_s(decision) <= 30.0


@given(attempt=st.integers(1, 50), spread=SPREADS, jitter=JITTERS, after_s=st.floats(0, 1e9))
def test_nobody_calls_before_the_providers_word(attempt, spread, jitter, after_s):  # N-16
    policy = RetryPolicy(max_retries=50, jitter=jitter)
    waited_s = wait_s(next_try(policy, attempt, now=NOW, spread=spread, after_s=after_s))
    assert min(after_s, 3600.0) - 1e-5 <= waited_s <= max(1.0, min(after_s, 3600.0)) * 1.1 + 1e-5


@pytest.mark.parametrize(
    ("attempt", "told_s"), [(1, 0.05), (2, 60.0), (3, 300.0), (4, 900.0), (5, 3600.0), (6, 14400.0), (99, 14400.0)]
)
def test_mail_waits_by_its_own_table_after_one_quick_retry(attempt, told_s):
    decision = next_mail_try(RetryPolicy(), attempt, now=NOW, spread=0.5, first_at=NOW)
    assert told_s <= wait_s(decision) <= told_s * 1.1


def test_mail_is_patient_for_two_days():
    first_at = NOW - timedelta(hours=48)
    assert next_mail_try(RetryPolicy(), 9, now=NOW, spread=0.5, first_at=first_at) == Exhausted(9)
    assert isinstance(next_mail_try(RetryPolicy(), 9, now=NOW, spread=0.5, first_at=first_at + timedelta(hours=1)), RetryAt)


def test_mail_obeys_the_relays_word_and_a_limit_of_none():
    assert wait_s(next_mail_try(RetryPolicy(), 4, now=NOW, spread=0.0, first_at=NOW, after_s=30.0)) == 30.0
    assert next_mail_try(RetryPolicy(max_retries=0), 1, now=NOW, spread=0.0, first_at=NOW) == Exhausted(1)


def test_the_table_of_mail_never_shortens():
    assert list(MAIL_WAITS_S) == sorted(MAIL_WAITS_S)


def test_the_policy_comes_from_the_settings():
    settings = NotificationSettings(retry_base="200ms", retry_cap="10s", retry_limit=3, retry_jitter="equal")
    assert RetryPolicy.of(settings) == RetryPolicy(0.2, 10.0, 3, "equal")
