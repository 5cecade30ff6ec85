"""How a claim is divided."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.notification import Lane
from pushers.lanes import WEIGHTS, hungry_lanes, quotas

OTHERS = (Lane.HIGH, Lane.NORMAL, Lane.BULK)


def test_critical_may_have_everything_and_the_others_share_eight_four_one():
    assert quotas(130, frozenset(OTHERS)) == {Lane.CRITICAL: 130, Lane.HIGH: 80, Lane.NORMAL: 40, Lane.BULK: 10}


def test_what_nobody_else_wants_goes_to_bulk():
    assert quotas(130, frozenset({Lane.BULK})) == {Lane.CRITICAL: 130, Lane.HIGH: 80, Lane.NORMAL: 40, Lane.BULK: 130}


def test_a_share_that_is_free_is_divided_by_weight():
    shares = quotas(130, frozenset({Lane.HIGH, Lane.BULK}))
    assert shares[Lane.HIGH] == 80 + 36
    assert shares[Lane.BULK] == 10 + 5


@given(batch=st.integers(1, 5000), hungry=st.frozensets(st.sampled_from(list(Lane))))
def test_every_lane_moves_and_nothing_lies_idle(batch, hungry):
    shares = quotas(batch, hungry)
    assert list(shares) == sorted(Lane)
    assert shares[Lane.CRITICAL] == batch
    for lane, weight in WEIGHTS.items():
        assert shares[lane] >= max(1, batch * weight // 13)
    if takers := [lane for lane in OTHERS if lane in hungry]:
        assert batch <= sum(shares[lane] for lane in takers) <= batch + 3
    assert sum(shares[lane] for lane in OTHERS) <= 2 * batch + 3


@pytest.mark.parametrize(
    ("counts", "hungry"),
    [
        ({}, set()),
        ({Lane.BULK: 2}, {Lane.BULK}),
        ({Lane.HIGH: 3, Lane.BULK: 3}, {Lane.BULK}),
        ({Lane.CRITICAL: 9}, {Lane.CRITICAL}),
    ],
)
def test_a_lane_that_gave_all_it_was_asked_for_is_hungry(step, notification, counts, hungry):
    steps = [step(notification(lane=lane)) for lane, count in counts.items() for _ in range(count)]
    asked = {Lane.CRITICAL: 9, Lane.HIGH: 8, Lane.NORMAL: 4, Lane.BULK: 2}
    assert hungry_lanes(steps, asked) == hungry
