"""Quiet hours on the clocks of users, also where these are put forward or back. N-22."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.errors import BadInput
from broker.quiet_hours import WEEKDAYS, QuietHours, check_days, check_local_time, check_zone, next_at, zone_of

BERLIN = ZoneInfo("Europe/Berlin")
NIGHT = QuietHours("22:00", "07:00")


def utc(*parts):
    return datetime(*parts, tzinfo=UTC)


@pytest.mark.parametrize(
    ("hours", "now", "until"),
    [
        (NIGHT, utc(2026, 1, 10, 20, 59), None),
        (NIGHT, utc(2026, 1, 10, 21, 0), utc(2026, 1, 11, 6, 0)),
        (NIGHT, utc(2026, 1, 11, 5, 59), utc(2026, 1, 11, 6, 0)),
        (NIGHT, utc(2026, 1, 11, 6, 0), None),
        (QuietHours("12:00", "14:00"), utc(2026, 1, 10, 12, 0), utc(2026, 1, 10, 13, 0)),
        (QuietHours("12:00", "14:00"), utc(2026, 1, 10, 13, 0), None),
        # 2026-03-29, 02:00 becomes 03:00: the night is an hour shorter.
        (NIGHT, utc(2026, 3, 28, 23, 0), utc(2026, 3, 29, 5, 0)),
        # Both boundaries within the gap are its end, 01:00 UTC: such a window is empty that day.
        (QuietHours("02:15", "02:45"), utc(2026, 3, 29, 1, 0), None),
        (QuietHours("01:00", "02:30"), utc(2026, 3, 29, 0, 59), utc(2026, 3, 29, 1, 0)),
        (QuietHours("02:30", "04:00"), utc(2026, 3, 29, 1, 0), utc(2026, 3, 29, 2, 0)),
        # 2026-10-25, 03:00 becomes 02:00: it begins with the first 02:30 (00:30 UTC) and ends with the second one.
        (QuietHours("02:30", "05:00"), utc(2026, 10, 25, 0, 30), utc(2026, 10, 25, 4, 0)),
        (QuietHours("01:00", "02:30"), utc(2026, 10, 25, 1, 0), utc(2026, 10, 25, 1, 30)),
    ],
)
def test_the_window_is_meant_by_the_wall(hours, now, until):
    assert hours.until(now, BERLIN) == until


@pytest.mark.parametrize(
    ("zone", "hours", "now", "until"),
    [
        # 2026-10-04, 02:00 becomes 02:30 on Lord Howe Island: half an hour is missing.
        ("Australia/Lord_Howe", QuietHours("02:10", "06:00"), utc(2026, 10, 3, 15, 30), utc(2026, 10, 3, 19, 0)),
        ("Australia/Lord_Howe", QuietHours("02:10", "06:00"), utc(2026, 10, 3, 15, 29), None),
        ("Australia/Lord_Howe", QuietHours("01:00", "02:10"), utc(2026, 10, 3, 15, 0), utc(2026, 10, 3, 15, 30)),
        # 2026-04-05, 02:00 becomes 01:30: a beginning is the first 01:45 (14:45 UTC), an end the second one (15:15 UTC).
        ("Australia/Lord_Howe", QuietHours("01:45", "05:00"), utc(2026, 4, 4, 14, 45), utc(2026, 4, 4, 18, 30)),
        ("Australia/Lord_Howe", QuietHours("23:00", "01:45"), utc(2026, 4, 4, 15, 0), utc(2026, 4, 4, 15, 15)),
        # Where no clock is ever put forward or back the window is the same on every day.
        ("Asia/Kathmandu", QuietHours("22:00", "07:00"), utc(2026, 3, 28, 16, 15), utc(2026, 3, 29, 1, 15)),
        ("Asia/Kathmandu", QuietHours("22:00", "07:00"), utc(2026, 3, 28, 16, 14), None),
    ],
)
def test_the_window_is_meant_by_any_wall(zone, hours, now, until):
    assert hours.until(now, ZoneInfo(zone)) == until


@pytest.mark.parametrize(
    ("days", "now", "until"),
    [
        # 2026-01-09 is a Friday; the night belongs to the day on which it begins.
        (("fri",), utc(2026, 1, 9, 22, 0), utc(2026, 1, 10, 6, 0)),
        (("fri",), utc(2026, 1, 10, 5, 0), utc(2026, 1, 10, 6, 0)),
        (("fri",), utc(2026, 1, 10, 22, 0), None),
        (("sat", "sun"), utc(2026, 1, 10, 5, 0), None),
        (("sat", "sun"), utc(2026, 1, 11, 22, 0), utc(2026, 1, 12, 6, 0)),
        # By the user's clock it is Saturday already.
        (("sat",), utc(2026, 1, 9, 23, 30), None),
    ],
)
def test_a_window_may_begin_on_some_weekdays_only(days, now, until):
    assert QuietHours("22:00", "07:00", days=days).until(now, BERLIN) == until


def test_weekdays_are_read_in_their_order():
    assert check_days(["sun", "mon"], "days") == ("mon", "sun")
    assert check_days(list(WEEKDAYS), "days") == WEEKDAYS


@pytest.mark.parametrize(("days", "field"), [([], "days"), (["mon", "mon"], "days"), (["mon", "Tue"], "days[1]")])
def test_what_are_no_weekdays_is_refused(days, field):
    with pytest.raises(BadInput) as raised:
        check_days(days, "days")
    assert raised.value.field == field


MOMENTS = st.integers(0, 2 * 366 * 24 * 60).map(lambda minutes: utc(2025, 1, 1) + timedelta(minutes=minutes))
TIMES = st.tuples(st.integers(0, 23), st.integers(0, 59)).map(lambda parts: f"{parts[0]:02}:{parts[1]:02}")
ZONES = st.sampled_from(["Europe/Berlin", "America/St_Johns", "Australia/Lord_Howe", "Asia/Kathmandu", "Africa/Casablanca"])


@given(st.tuples(TIMES, TIMES).filter(lambda times: times[0] != times[1]), MOMENTS, ZONES)
def test_peace_ends_within_a_day_and_a_bit_and_is_over_then(times, now, name):
    zone, hours = ZoneInfo(name), QuietHours(*times)
    until = hours.until(now, zone)
    if until is None:
        return
    assert now < until <= now + timedelta(hours=26)
    assert hours.until(until, zone) is None or hours.until(until, zone) > until
    assert hours.until(until - timedelta(seconds=1), zone) == until


@given(TIMES, MOMENTS, ZONES)
def test_a_local_time_comes_within_a_long_day(local_time, since, name):
    moment = next_at(local_time, since, ZoneInfo(name))
    assert since <= moment <= since + timedelta(hours=25)


def test_a_local_time_that_never_comes_is_the_end_of_the_gap():
    assert next_at("02:30", utc(2026, 3, 28, 12), BERLIN) == utc(2026, 3, 29, 1, 0)


@pytest.mark.parametrize("text", ["24:00", "7:00", "22:60", "", "22:00:00", "٢٢:00"])
def test_what_is_no_time_of_day_is_refused(text):
    with pytest.raises(BadInput) as raised:
        check_local_time(text, "quiet_hours.from")
    assert raised.value.field == "quiet_hours.from"


@pytest.mark.parametrize("name", ["", "Mars/Olympus", "../etc/passwd", "Europe", "x" * 65, "Europe/\0Berlin"])
def test_a_zone_must_be_known(name):
    with pytest.raises(BadInput):
        check_zone(name, "timezone")


def test_the_first_known_zone_is_taken():
    assert zone_of("", "Mars/Olympus", "Europe/Berlin", "Asia/Tokyo").key == "Europe/Berlin"
    assert zone_of("").key == "UTC"
