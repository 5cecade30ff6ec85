"""Moments are kept exactly."""

from datetime import UTC, datetime, timedelta, timezone

from hypothesis import given
from hypothesis import strategies as st

from broker.store.moments import from_micros, to_micros


@given(st.datetimes(timezones=st.just(UTC)))
def test_a_moment_comes_back_as_it_was(moment: datetime) -> None:
    assert from_micros(to_micros(moment)) == moment


@given(st.datetimes(timezones=st.just(UTC)), st.datetimes(timezones=st.just(UTC)))
def test_their_order_is_kept(one: datetime, other: datetime) -> None:
    assert (to_micros(one) < to_micros(other)) == (one < other)


def test_they_count_microseconds_since_1970_in_any_zone() -> None:
    assert to_micros(datetime(1970, 1, 1, 2, 0, 0, 7, timezone(timedelta(hours=2)))) == 7
