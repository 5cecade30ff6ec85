"""Durations in buckets: quantiles within the error that is promised, also of histograms that were added (N-31)."""

import math
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.histograms import ERROR, bucket_of, quantile_s

# From a microsecond to a year.
MICROS = st.integers(0, 365 * 86400 * 10**6)


@given(st.lists(MICROS, min_size=1, max_size=200), st.floats(0, 1))
def test_a_quantile_is_near_the_duration_of_its_rank(durations: list[int], share: float) -> None:
    histogram = Counter(map(bucket_of, durations))
    exact_s = sorted(durations)[max(1, math.ceil(share * len(durations))) - 1] / 1e6
    found = quantile_s(histogram, share)
    assert found == pytest.approx(max(exact_s, 0.001), rel=ERROR + 1e-9)


@given(st.lists(MICROS, max_size=50), st.lists(MICROS, max_size=50))
def test_histograms_add_up(some: list[int], others: list[int]) -> None:
    together = Counter(map(bucket_of, some)) + Counter(map(bucket_of, others))
    assert together == Counter(map(bucket_of, some + others))


def test_the_buckets_of_a_month_are_few() -> None:
    assert bucket_of(0) == bucket_of(1000) == bucket_of(-5) == 0
    assert bucket_of(1001) == 1
    assert bucket_of(30 * 86400 * 10**6) < 450


def test_of_nothing_there_is_no_quantile() -> None:
    assert quantile_s({}, 0.5) is None
