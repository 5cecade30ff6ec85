"""The histogram against a plain sorted list."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtest.histogram import Histogram, bucket_bounds, bucket_of

values_ns = st.lists(st.integers(0, 10**12), min_size=1, max_size=300)
percents = st.sampled_from([0.0, 1.0, 10.0, 50.0, 90.0, 99.0, 99.9, 100.0])


def make_histogram(values: list[int]) -> Histogram:
    histogram = Histogram()
    for value in values:
        histogram.record(value)
    return histogram


@given(values_ns, percents)
def test_percentile_is_the_nearest_rank_within_a_bucket(values: list[int], percent: float) -> None:
    exact = sorted(values)[max(1, math.ceil(round(len(values) * percent / 100, 6))) - 1]
    found = make_histogram(values).percentile(percent)
    assert found is not None
    assert exact <= found <= exact + exact / 128 + 1
    assert found <= max(values)


@given(st.lists(values_ns, min_size=1, max_size=5))
def test_merged_parts_equal_one_that_recorded_all(parts: list[list[int]]) -> None:
    merged = Histogram()
    for part in parts:
        merged.merge(make_histogram(part).counts())
    assert merged.counts() == make_histogram([value for part in parts for value in part]).counts()
    assert merged.total == sum(len(part) for part in parts)


@given(values_ns)
def test_several_percentiles_in_one_pass_agree_with_single_ones(values: list[int]) -> None:
    histogram = make_histogram(values)
    wanted = [0.0, 25.0, 50.0, 99.0, 99.99, 100.0]
    assert histogram.percentiles(wanted) == [histogram.percentile(percent) for percent in wanted]


@given(st.integers(0, 2**60))
def test_every_value_lies_in_its_bucket(value: int) -> None:
    low, high = bucket_bounds(bucket_of(value))
    assert low <= value <= high
    assert high - low <= max(1, value // 128)


@given(st.integers(0, 5000))
def test_buckets_leave_no_hole(bucket: int) -> None:
    assert bucket_bounds(bucket)[1] + 1 == bucket_bounds(bucket + 1)[0]
    assert bucket_of(bucket_bounds(bucket)[0]) == bucket_of(bucket_bounds(bucket)[1]) == bucket


def test_99_9_percent_of_a_thousand_values_is_the_999th() -> None:
    assert make_histogram([1] * 999 + [200]).percentile(99.9) == 1


def test_an_empty_one_has_no_percentile() -> None:
    assert Histogram().percentiles([50.0, 100.0]) == [None, None]


def test_a_clock_set_back_counts_as_zero() -> None:
    assert make_histogram([-5]).counts().smallest_ns == 0


@pytest.mark.parametrize("value", [0, 1, 255])
def test_small_values_are_exact(value: int) -> None:
    assert make_histogram([value]).percentile(50.0) == value
