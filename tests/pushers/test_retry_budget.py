"""N-17: retries are a share of first tries, by carrier and minute."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.notification import Lane, Provider, Route, State
from config.clock import ManualClock
from config.settings import NotificationSettings
from pushers.outcome import Retry
from pushers.retry_budget import RetryBudget

FCM = Provider.FCM
PUSH = (Route.PUSH,)


def granted(budget, count):
    return sum(budget.retry() == 0.0 for _ in range(count))


def tried(budget, count):
    for _ in range(count):
        budget.first()


@pytest.mark.parametrize(
    ("firsts", "allowed"), [(0, 10), (50, 10), (100, 20), (1000, 200)], ids=["idle", "few", "some", "many"]
)
def test_a_fifth_may_be_retried_and_a_few_always(clock, firsts, allowed):
    budget = RetryBudget(0.2, 10, clock)
    tried(budget, firsts)
    assert granted(budget, 1000) == allowed


def test_what_left_the_minute_counts_no_more(clock):
    budget = RetryBudget(0.2, 10, clock)
    tried(budget, 1000)
    assert granted(budget, 1000) == 200
    clock.move(30.0)
    assert granted(budget, 1000) == 0
    clock.move(31.0)
    assert granted(budget, 1000) == 10, "the first tries have left it as well"


def test_zero_sets_no_limit(clock):
    assert granted(RetryBudget(0.0, 1, clock), 10_000) == 10_000


def test_a_retry_that_was_not_made_is_given_back(clock):
    budget = RetryBudget(0.2, 1, clock)
    assert budget.retry() == 0.0
    budget.give_back()
    assert budget.retry() == 0.0
    assert budget.retry() > 0
    clock.move(6.0)
    budget.give_back()
    assert budget.retry() > 0, "it was counted in an earlier part of the window and stays counted"


def test_those_sent_away_come_back_one_after_another(clock):
    budget = RetryBudget(0.2, 60, clock)
    assert granted(budget, 60) == 60
    waits = [budget.retry() for _ in range(30)]
    assert 55.0 <= waits[0] <= 60.0
    assert [later - earlier for earlier, later in itertools.pairwise(waits)] == pytest.approx([1.0] * 29)
    clock.move(waits[0])
    for wait_s, next_s in zip(waits, [*waits[1:], 0.0], strict=True):
        assert budget.retry() == 0.0, f"who was told {wait_s} s is let through then"
        clock.move(max(0.0, next_s - wait_s))


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60), st.sampled_from([0.0, 1.0, 7.0, 30.0, 90.0])), max_size=25))
def test_no_retry_is_granted_beyond_the_share(turns):
    clock, firsts, retries = ManualClock(), [], []
    budget = RetryBudget(0.2, 5, clock)
    for new_firsts, new_retries, pause_s in turns:
        now = clock.monotonic()
        for _ in range(new_firsts):
            budget.first()
            firsts.append(now)
        for _ in range(new_retries):
            if budget.retry() == 0.0:
                retries.append(now)
                # Its minute is up to a twelfth shorter than one, and never longer.
                assert sum(at > now - 55 for at in retries) <= max(5, 0.2 * sum(at > now - 60 for at in firsts))
        clock.move(pause_s)


# In the pipeline


async def test_an_outage_costs_a_provider_a_fifth_more(rig, device):
    rig.settings = NotificationSettings(retry_budget_least=5, retry_limit=50, retry_base=0.001, retry_cap=0.001)
    rig.ledger.register(device(FCM))
    # A provider that says itself that it is busy opens no breaker: nothing else would hold the retries.
    rig.providers[FCM].default = Retry("429", is_failure=False)
    for _ in range(100):
        rig.ledger.add(routes=PUSH)
    await rig.start()
    await rig.advance(50.0)
    assert len(rig.calls(FCM)) == 100 + 20


async def test_those_that_wait_for_the_budget_lose_no_try_and_all_end(rig, device):
    rig.settings = NotificationSettings(retry_budget_least=5, retry_limit=1)
    rig.ledger.register(device(FCM))
    rig.providers[FCM].script = [Retry("503", is_failure=False)] * 30
    sent = [rig.ledger.add(routes=PUSH, lane=lane) for lane in (Lane.CRITICAL, Lane.NORMAL) for _ in range(15)]
    await rig.start()
    await rig.advance(5.0)
    assert sum(rig.state(one) is State.EXHAUSTED for one in sent) == 6, "a fifth of thirty"
    for _ in range(30):
        await rig.advance(30.0)
    assert {rig.state(one) for one in sent} == {State.EXHAUSTED}
    assert len(rig.calls(FCM)) == 60
    assert {entry.attempt for one in sent for entry in rig.ledger.entries[one.id]} == {1, 2}


async def test_a_thousand_busy_devices_are_all_reached_within_seconds(rig, device):
    """With the defaults nobody notices the budget who is not large."""
    rig.ledger.register(device(FCM))
    rig.providers[FCM].script = [Retry("503", is_failure=False)] * 300
    sent = [rig.ledger.add(routes=PUSH) for _ in range(300)]
    await rig.start()
    await rig.advance(5.0)
    assert {rig.state(one) for one in sent} == {State.EXHAUSTED}
