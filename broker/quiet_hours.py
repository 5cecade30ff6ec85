"""Hours in which a user is left in peace, and moments that are meant by the clock on a user's wall.

Daylight saving makes some local times come twice and lets others never come. A boundary that never comes is the first moment
after the gap; of one that comes twice a beginning takes the first and an end the second, so that peace is never cut short.
"""

import re
from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

import msgspec

from broker.errors import BadInput

__all__ = ["WEEKDAYS", "QuietHours", "check_days", "check_local_time", "check_zone", "next_at", "zone_of"]

# In the order of `date.weekday`.
WEEKDAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")

_LOCAL_TIME: Final = re.compile(r"([01]\d|2[0-3]):([0-5]\d)")
_DAY: Final = timedelta(days=1)
_SECOND: Final = timedelta(seconds=1)


class QuietHours(msgspec.Struct, frozen=True, omit_defaults=True):
    """A daily window by the user's clock, both as "HH:MM"; it may span midnight. An empty zone is the user's own.

    Attributes:
        days: The weekdays on which it begins; empty for all.
        ignored_by: Priorities that pass it; None leaves that to the settings.
    """

    begin: str
    end: str
    timezone: str = ""
    days: tuple[str, ...] = ()
    ignored_by: tuple[str, ...] | None = None

    def until(self, now: datetime, zone: ZoneInfo) -> datetime | None:
        """Tell the end of the window that `now` lies in, in UTC; None where it lies in none."""
        begin, end = _time_of(self.begin), _time_of(self.end)
        today = now.astimezone(zone).date()
        for day in (today - _DAY, today):
            if self.days and WEEKDAYS[day.weekday()] not in self.days:
                continue
            ends_on = day if begin < end else day + _DAY
            ends_at = _moment(ends_on, end, zone, is_end=True)
            if _moment(day, begin, zone, is_end=False) <= now < ends_at:
                return ends_at
        return None


def next_at(local_time: str, since: datetime, zone: ZoneInfo) -> datetime:
    """Tell when it is so late for the next time on a user's wall, at `since` or after it; in UTC."""
    wanted, today = _time_of(local_time), since.astimezone(zone).date()
    for days in range(3):
        moment = _moment(today + days * _DAY, wanted, zone, is_end=False)
        if moment >= since:
            return moment
    raise AssertionError("a local time comes within two days")


def check_local_time(text: str, field: str) -> str:
    """Give a local time back if it is one.

    Raises:
        BadInput: It is none.
    """
    if not _LOCAL_TIME.fullmatch(text):
        raise BadInput(field, 'must be a time of day such as "22:00", up to "23:59"')
    return text


def check_days(days: Sequence[str], field: str) -> tuple[str, ...]:
    """Give weekdays back, in their order, if they are some.

    Raises:
        BadInput: There is none, one twice, or something else.
    """
    for index, day in enumerate(days):
        if day not in WEEKDAYS:
            raise BadInput(f"{field}[{index}]", f"must be one of {', '.join(WEEKDAYS)}")
    if not days or len(set(days)) != len(days):
        raise BadInput(field, "must hold weekdays, each once; leave it out for all")
    return tuple(day for day in WEEKDAYS if day in days)


def check_zone(name: str, field: str) -> str:
    """Give a zone's name back if the machine knows it.

    Raises:
        BadInput: It does not.
    """
    if len(name) > 64 or _find_zone(name) is None:
        raise BadInput(field, 'must be an IANA zone such as "Europe/Berlin"')
    return name


def zone_of(*names: str) -> ZoneInfo:
    """Take the first zone that is named and known; UTC where none is."""
    return next((zone for name in names if name and (zone := _find_zone(name)) is not None), ZoneInfo("UTC"))


@lru_cache(maxsize=1024)
def _find_zone(name: str) -> ZoneInfo | None:
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # no such zone, or a name that is a path or a folder
        return None


def _time_of(text: str) -> time:
    return time(int(text[:2]), int(text[3:]))


def _moment(day: date, local_time: time, zone: ZoneInfo, *, is_end: bool) -> datetime:
    """Tell, in UTC, when a clock on the wall shows a time."""
    wanted = datetime.combine(day, local_time)
    first, second = (wanted.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))
    if second < first:  # PEP 495: it lies in a gap, between these two
        return _end_of_gap(second, first, wanted, zone)
    return second if is_end else first


def _end_of_gap(before: datetime, after: datetime, wanted: datetime, zone: ZoneInfo) -> datetime:
    """Find the first moment at which the wall's clock has passed `wanted`."""
    while after - before > _SECOND:
        middle = before + ((after - before) // 2 // _SECOND) * _SECOND
        if middle == before:
            break
        if middle.astimezone(zone).replace(tzinfo=None) >= wanted:
            after = middle
        else:
            before = middle
    return after
