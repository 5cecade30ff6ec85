"""When somebody is told by habit, also where the clock is put forward or back. N-30."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.habits import LONGEST_WAIT, NO_HABITS, NO_HOURS, Habits, count_open, is_enough, usual_moment

BERLIN = ZoneInfo("Europe/Berlin")
ZONES = [
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "Australia/Lord_Howe",
    "Asia/Kathmandu",
    "Pacific/Apia",
    "America/St_Johns",
]


def utc(*parts):
    return datetime(*parts, tzinfo=UTC)


def hours(**counts):
    """Opens by hour, as `h9=5`."""
    return tuple(counts.get(f"h{hour}", 0) for hour in range(24))


def moment(habits, since, *, latest=None, zone=BERLIN, otherwise=""):
    return usual_moment(habits, since=since, latest=latest or since + LONGEST_WAIT, zone=zone, otherwise=otherwise)


NOON = utc(2026, 1, 10, 11, 0)  # 12:00 in Berlin
MORNING, EVENING = Habits(own=hours(h9=5)), Habits(own=hours(h19=5))


@pytest.mark.parametrize(
    ("habits", "since", "latest", "expected"),
    [
        (EVENING, NOON, None, utc(2026, 1, 10, 18, 0)),
        (MORNING, NOON, None, utc(2026, 1, 11, 8, 0)),
        (MORNING, utc(2026, 1, 10, 8, 40), None, utc(2026, 1, 10, 8, 40)),  # it is that hour
        (MORNING, utc(2026, 1, 10, 9, 0), None, utc(2026, 1, 11, 8, 0)),  # and that it was
        # The best hour does not come in time: the nearest to it by what was counted, else at once.
        (Habits(own=hours(h9=5, h14=2)), NOON, utc(2026, 1, 10, 15, 0), utc(2026, 1, 10, 13, 0)),
        (MORNING, NOON, utc(2026, 1, 10, 15, 0), NOON),
        (EVENING, NOON, utc(2026, 1, 10, 18, 0), utc(2026, 1, 10, 18, 0)),
        (EVENING, NOON, utc(2026, 1, 10, 17, 59), utc(2026, 1, 10, 17, 0)),
        (EVENING, NOON, utc(2026, 1, 9), NOON),
        # Neighbouring hours are one habit, and outweigh a lonely one.
        (Habits(own=hours(h7=4, h18=3, h19=3)), NOON, None, utc(2026, 1, 10, 17, 0)),
        (Habits(own=hours(h23=3, h0=3)), NOON, None, utc(2026, 1, 10, 22, 0)),
        # Too few of their own: the median of all, on a clock that goes round.
        (Habits(own=hours(h9=4), of_all=hours(h20=10, h21=10, h23=10)), NOON, None, utc(2026, 1, 10, 20, 0)),
        (Habits(of_all=hours(h22=10, h0=10, h2=10)), NOON, None, utc(2026, 1, 10, 23, 0)),
        (Habits(of_all=hours(h20=10)), NOON, utc(2026, 1, 10, 14, 0), utc(2026, 1, 10, 14, 0)),
        (NO_HABITS, NOON, None, NOON),
        # 2026-03-29, 02:00 becomes 03:00; 2026-10-25, 03:00 becomes 02:00.
        (MORNING, utc(2026, 3, 28, 12, 0), None, utc(2026, 3, 29, 7, 0)),
        (Habits(own=hours(h2=5)), utc(2026, 3, 28, 12, 0), None, utc(2026, 3, 29, 1, 0)),
        (Habits(own=hours(h2=5)), utc(2026, 10, 24, 12, 0), None, utc(2026, 10, 25, 0, 0)),
        (Habits(own=hours(h2=5)), utc(2026, 10, 25, 1, 30), None, utc(2026, 10, 25, 1, 30)),
        (MORNING, utc(2026, 10, 24, 12, 0), None, utc(2026, 10, 25, 8, 0)),
    ],
)
def test_it_is_told_when_they_usually_open(habits, since, latest, expected):
    assert moment(habits, since, latest=latest).at == expected


@pytest.mark.parametrize(
    ("latest", "expected"), [(None, utc(2026, 1, 11, 7, 30)), (utc(2026, 1, 10, 20, 0), utc(2026, 1, 10, 20, 0))]
)
def test_where_nothing_is_known_a_time_of_day_can_be_given(latest, expected):
    assert moment(NO_HABITS, NOON, latest=latest, otherwise="08:30").at == expected
    assert moment(EVENING, NOON, latest=latest, otherwise="08:30").at == utc(2026, 1, 10, 18, 0)


def test_it_is_said_why():
    told = [moment(habits, NOON).reason for habits in (EVENING, Habits(of_all=hours(h9=9)), NO_HABITS)]
    assert told == ["when its user usually opens", "when users usually open", "nothing is known of when its user opens"]


def test_opens_are_bounded_and_new_ones_outweigh_old_ones():
    counted = NO_HOURS
    for _ in range(1000):
        counted = count_open(counted, 8)
    assert sum(counted) <= 64
    for _ in range(80):
        counted = count_open(counted, 20)
    assert counted[20] > counted[8]
    assert is_enough(counted)
    assert not is_enough(count_open(NO_HOURS, 8))


some_hours = st.lists(st.integers(0, 9), min_size=24, max_size=24).map(tuple)
moments = st.datetimes(datetime(2024, 1, 1), datetime(2028, 1, 1)).map(lambda at: at.replace(tzinfo=UTC))


@given(
    st.builds(Habits, some_hours | st.just(NO_HOURS), some_hours | st.just(NO_HOURS)),
    moments,
    st.timedeltas(timedelta(0), timedelta(days=9)),
    st.sampled_from(ZONES),
    st.sampled_from(["", "02:30", "09:00"]),
)
def test_never_before_never_later_and_the_same_again(habits, since, room, zone, otherwise):
    known = {"since": since, "latest": since + room, "zone": ZoneInfo(zone), "otherwise": otherwise}
    found = usual_moment(habits, **known)
    assert since <= found.at <= since + room
    assert usual_moment(habits, **known) == found


@given(moments, st.sampled_from(ZONES), st.integers(0, 23))
def test_within_a_day_the_wall_shows_the_hour_of_the_habit(since, zone, hour):
    habit = Habits(own=tuple(9 * (hour == other) for other in range(24)))
    found = moment(habit, since, zone=ZoneInfo(zone), latest=since + timedelta(days=2)).at
    wall = found.astimezone(ZoneInfo(zone))
    if wall.hour != hour:  # only a gap keeps it from that: the moment before it the wall showed an earlier hour
        before = (found - timedelta(seconds=1)).astimezone(ZoneInfo(zone))
        assert wall.replace(tzinfo=None) - before.replace(tzinfo=None) > timedelta(seconds=1)


@given(moments, some_hours, st.sampled_from(ZONES))
def test_more_room_never_means_less_of_the_habit(since, own, zone):
    habits = Habits(own=own)
    short = moment(habits, since, zone=ZoneInfo(zone), latest=since + timedelta(hours=3))
    long = moment(habits, since, zone=ZoneInfo(zone))
    assert short.at == long.at or long.at > since + timedelta(hours=3)
