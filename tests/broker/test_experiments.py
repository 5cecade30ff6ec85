"""Assignment to variants, and intervals of shares (N-30)."""

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.experiments import Interval, Lead, Pick, VariantResult, assign, compare, leader, wilson, winner
from broker.notification import Variant

NAMES = st.lists(st.text(max_size=6), min_size=1, max_size=5, unique=True)
WEIGHTS = st.floats(0.01, 1000)


@given(st.text(), st.text(), NAMES, st.data())
@settings(deadline=None)
def test_a_user_keeps_their_variant_whatever_the_order(
    user: str, experiment: str, names: list[str], data: st.DataObject
) -> None:
    variants = [Variant(name, data.draw(WEIGHTS)) for name in names]
    shuffled = data.draw(st.permutations(variants))
    assert assign(experiment, user, variants) == assign(experiment, user, shuffled)


@given(st.text(), NAMES, st.data())
@settings(deadline=None)
def test_a_new_variant_takes_users_and_moves_none_between_the_others(user: str, names: list[str], data: st.DataObject) -> None:
    variants = [Variant(name, data.draw(WEIGHTS)) for name in names]
    before = assign("e", user, variants)
    after = assign("e", user, [*variants, Variant("the new one", data.draw(WEIGHTS))])
    assert after.name in (before.name, "the new one")


def test_weights_are_kept_over_many_users() -> None:
    variants = (Variant("a", 1), Variant("b", 2), Variant("c", 7), Variant("off", 0))
    counts = Counter(assign("e", f"user-{number}", variants).name for number in range(20_000))
    assert counts["off"] == 0
    for name, share in (("a", 0.1), ("b", 0.2), ("c", 0.7)):
        assert counts[name] / 20_000 == pytest.approx(share, abs=0.015)


def test_experiments_are_independent_of_each_other() -> None:
    variants = (Variant("a", 1), Variant("b", 1))
    same = sum(assign("one", f"u{n}", variants) == assign("two", f"u{n}", variants) for n in range(4000))
    assert same / 4000 == pytest.approx(0.5, abs=0.05)


# Values of an independent computation of the score interval at 95 %.
@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"),
    [(0, 10, 0.0, 0.2775), (1, 10, 0.0179, 0.4042), (5, 10, 0.2366, 0.7634), (10, 10, 0.7225, 1.0), (81, 263, 0.2553, 0.3662)],
)
def test_known_intervals(successes: int, trials: int, low: float, high: float) -> None:
    interval = wilson(successes, trials)
    assert interval.low == pytest.approx(low, abs=5e-5)
    assert interval.high == pytest.approx(high, abs=5e-5)


def test_of_nothing_nothing_is_known() -> None:
    assert wilson(0, 0) == Interval(0.0, 1.0)


@given(st.integers(1, 10**9), st.data())
@settings(deadline=None)
def test_an_interval_holds_its_share_and_stays_within_bounds(trials: int, data: st.DataObject) -> None:
    successes = data.draw(st.integers(0, trials))
    interval = wilson(successes, trials)
    share, rounding = successes / trials, 1e-12
    assert 0.0 <= interval.low <= share + rounding
    assert share - rounding <= interval.high <= 1.0


def result(name: str, acknowledged: int, sent: int, *, is_control: bool = False) -> VariantResult:
    return VariantResult(name, sent, sent, acknowledged, is_control)


# Values of an independent computation of the pooled, two-sided test.
@pytest.mark.parametrize(
    ("one", "other", "p_value"),
    [
        ((45, 100), (30, 100), 0.02846),
        ((30, 100), (45, 100), 0.02846),
        ((12, 200), (24, 200), 0.03603),
        ((500, 1000), (500, 1000), 1.0),
        ((0, 50), (0, 50), 1.0),
        ((50, 50), (50, 50), 1.0),
        ((3, 5), (0, 0), 1.0),
    ],
)
def test_two_proportions_are_compared(one: tuple[int, int], other: tuple[int, int], p_value: float) -> None:
    assert compare(result("a", *one), result("b", *other)) == pytest.approx(p_value, abs=5e-5)


def test_the_leader_is_held_against_the_nearest_and_for_all() -> None:
    results = [result("a", 30, 100), result("b", 45, 100), result("c", 10, 100), result("off", 0, 0, is_control=True)]
    lead = leader(results)
    assert lead == Lead("b", pytest.approx(2 * 0.02846, abs=5e-5))  # type: ignore[arg-type]  # (compares as a float)
    assert leader(results[:1]) is None
    assert leader([results[0], results[3]]) is None, "the control group is told nothing, and cannot lead"


@pytest.mark.parametrize(
    ("pick", "found"),
    [
        (Pick("e", after=100, confidence=0.95), "b"),
        (Pick("e", after=101, confidence=0.95), ""),
        (Pick("e", after=100, confidence=0.98), ""),
    ],
)
def test_a_winner_is_picked_once_it_is_certain(pick: Pick, found: str) -> None:
    """N-30: after n with a two-proportion test."""
    results = [result("a", 30, 100), result("b", 45, 100), result("off", 0, 0, is_control=True)]
    assert winner(results, pick) == found
