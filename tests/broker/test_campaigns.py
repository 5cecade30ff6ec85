"""The life of a campaign as data, and how far apart its pages lie."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.campaigns import (
    MAX_RATE_PER_S,
    NEXT,
    CampaignEvent,
    CampaignState,
    due_at_rate,
    following,
    next_page_at,
    page_size,
)
from broker.errors import BadInput
from broker.notification import MAX_USERS
from broker.topics import check_topic

START = datetime(2026, 1, 1, tzinfo=UTC)
SCHEDULED, RUNNING, PAUSED, DONE, CANCELLED = CampaignState
rates = st.floats(0.001, MAX_RATE_PER_S)


@pytest.mark.parametrize(
    ("events", "state"),
    [
        ("begin", RUNNING),
        ("pause", PAUSED),
        ("begin pause", PAUSED),
        ("begin pause resume", RUNNING),
        ("pause reschedule", SCHEDULED),
        ("begin finish", DONE),
        ("begin finish pause", DONE),
        ("begin finish cancel", CANCELLED),
        ("cancel", CANCELLED),
        ("begin pause cancel", CANCELLED),
        ("pause finish", PAUSED),
        ("pause begin", PAUSED),
        ("finish", SCHEDULED),
        ("begin begin", RUNNING),
        ("begin resume", RUNNING),
    ],
)
def test_a_life(events, state):
    at = SCHEDULED
    for event in events.split():
        at = following(at, CampaignEvent(event))
    assert at is state


@given(st.sampled_from(CampaignEvent))
def test_nothing_follows_a_cancel(event):
    assert following(CANCELLED, event) is CANCELLED


def test_nobody_is_told_but_while_it_runs():
    assert {before for (before, event) in NEXT if event is CampaignEvent.FINISH} == {RUNNING}
    assert {before for (before, event), after in NEXT.items() if after is RUNNING} == {SCHEDULED, PAUSED}


@pytest.mark.parametrize(("rate_per_s", "size"), [(0, 1000), (0.2, 1), (1, 1), (2.5, 3), (999, 999), (5000, 1000)])
def test_a_page_is_a_seconds_worth_at_most(rate_per_s, size):
    assert page_size(rate_per_s) == size


@given(rates, st.lists(st.tuples(st.floats(0, 30), st.integers(1, MAX_USERS)), min_size=1, max_size=30))
def test_no_rate_is_exceeded_by_more_than_a_page(rate_per_s, pages):
    """However late pages are told, as many users as the rate allows were told since the first, and those of two pages."""
    now = due_at = START
    told, largest = 0, 0
    for late_s, taken in pages:
        now = max(due_at, now) + timedelta(seconds=late_s)
        told, largest = told + taken, max(largest, taken)
        due_at = next_page_at(due_at, now, taken, rate_per_s)
        elapsed_s = (now - START).total_seconds()
        assert told <= elapsed_s * rate_per_s + 2 * largest + 1


@given(rates, st.integers(1, MAX_USERS), st.floats(0, 5))
def test_a_page_told_in_time_costs_nothing(rate_per_s, taken, late_s):
    worth_s = taken / rate_per_s
    late_s = min(late_s, worth_s)
    due_at = next_page_at(START, START + timedelta(seconds=late_s), taken, rate_per_s)
    assert abs((due_at - START).total_seconds() - worth_s) < 1e-3


def test_without_a_rate_the_next_page_is_due_at_once():
    assert next_page_at(START, START + timedelta(hours=1), 1000, 0.0) == START + timedelta(hours=1)


@pytest.mark.parametrize("topic", ["", "a" * 256, "a\nb", "a\0b"])
def test_a_topic_has_a_name(topic):
    with pytest.raises(BadInput, match="topic: must be 1 to 255 printable characters"):
        check_topic(topic)


@pytest.mark.parametrize(
    ("left_s", "before_per_s", "after_per_s", "then_s"),
    [
        (10.0, 1.0, 10.0, 1.0),
        (10.0, 1.0, 0.5, 20.0),
        (1000.0, 0.001, 1000.0, 0.001),
        (10.0, 5.0, 5.0, 10.0),
        (10.0, 5.0, 0.0, 0.0),
        (0.0, 5.0, 1.0, 0.0),
        (0.0, 0.0, 1.0, 0.0),
        (-3.0, 5.0, 1.0, -3.0),  # it is late, and stays that
        (-3.0, 5.0, 0.0, -3.0),
    ],
)
def test_what_is_left_to_wait_goes_with_the_rate(left_s, before_per_s, after_per_s, then_s):
    due_at = due_at_rate(START + timedelta(seconds=left_s), START, before_per_s, after_per_s)
    assert (due_at - START).total_seconds() == pytest.approx(then_s)
