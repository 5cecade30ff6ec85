"""When a user usually opens what they are told, and which moment follows from it.

Opens are counted by the hour of the user's own day, so that they stay what they are where the clock is put forward or back, and
where somebody moves. From that a moment is chosen among the beginnings of hours and the present one: the earliest of those that
suit best. So it never lies before the first nor after the last that is allowed, and from the same follows the same.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

import msgspec

from broker.quiet_hours import next_at

__all__ = ["LONGEST_WAIT", "NO_HABITS", "NO_HOURS", "Habits", "Hours", "UsualMoment", "count_open", "is_enough", "usual_moment"]

# How many opens, by the hour of the day.
Hours = tuple[int, ...]

NO_HOURS: Final[Hours] = (0,) * 24
# Where nothing is said: within a day every hour comes.
LONGEST_WAIT: Final = timedelta(days=1)
# Fewer say nothing of a habit.
_ENOUGH: Final = 5
# With more all are halved, so that a new habit outweighs an old one within weeks.
_MOST: Final = 64


class Habits(msgspec.Struct, frozen=True):
    """The opens of a user, and of a sample of all."""

    own: Hours = NO_HOURS
    of_all: Hours = NO_HOURS


NO_HABITS: Final = Habits()


class UsualMoment(msgspec.Struct, frozen=True):
    """When to tell somebody, in UTC, and why then."""

    at: datetime
    reason: str


def count_open(hours: Hours, hour: int) -> Hours:
    """Count one more."""
    if sum(hours) >= _MOST:
        hours = tuple(count // 2 for count in hours)
    return (*hours[:hour], hours[hour] + 1, *hours[hour + 1 :])


def is_enough(hours: Hours) -> bool:
    """Whether opens say something of a habit."""
    return sum(hours) >= _ENOUGH


def usual_moment(habits: Habits, *, since: datetime, latest: datetime, zone: ZoneInfo, otherwise: str = "") -> UsualMoment:
    """Choose when a user is told.

    Args:
        since: Not before this moment.
        latest: Not after this one; where it lies before `since`, at `since`.
        zone: What the clock on the user's wall goes by.
        otherwise: "HH:MM", the time of day where nothing is known of any habit; empty for `since`.
    """
    if is_enough(habits.own):
        return UsualMoment(_best(_around(habits.own), since, latest, zone), "when its user usually opens")
    if is_enough(habits.of_all):
        median = _median(habits.of_all)
        nearness = [-_apart(hour, median) for hour in range(24)]
        return UsualMoment(_best(nearness, since, latest, zone), "when users usually open")
    at = max(since, min(latest, next_at(otherwise, since, zone))) if otherwise else since
    return UsualMoment(at, "nothing is known of when its user opens")


def _best(weights: Sequence[int], since: datetime, latest: datetime, zone: ZoneInfo) -> datetime:
    """Find the earliest moment of the hour that weighs most, of those that come in time."""
    moments = [(next_at(f"{hour:02}:00", since, zone), weights[hour]) for hour in range(24)]
    moments = [(since, weights[since.astimezone(zone).hour]), *(one for one in moments if one[0] <= latest)]
    return min(moments, key=lambda one: (-one[1], one[0]))[0]


def _around(hours: Hours) -> list[int]:
    """Count for each hour half of its neighbours' with it: whoever opens at ten to nine and at ten past has one habit."""
    return [hours[hour - 1] + 2 * hours[hour] + hours[(hour + 1) % 24] for hour in range(24)]


def _median(hours: Hours) -> int:
    """Find the hour that all opens together are nearest to, on a clock that goes round."""
    return min(range(24), key=lambda hour: sum(count * _apart(hour, other) for other, count in enumerate(hours)))


def _apart(one: int, other: int) -> int:
    return min((one - other) % 24, (other - one) % 24)
