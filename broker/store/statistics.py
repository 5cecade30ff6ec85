"""Statistics on SQL: hours counted a page at a time beside whatever else goes on, and added up when somebody asks."""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from functools import partial
from typing import Final

from sqlalchemy import Connection

from broker.statistics import StatisticsAnswer, StatisticsQuery
from broker.store.database import Database
from broker.store.moments import first_id_at, from_micros, to_micros
from broker.store.statistics_counting import Keeping, first_uncounted, forget, next_hour, settle_hour, take, write_hour
from broker.store.statistics_facts import read_facts
from broker.store.statistics_reading import CountedHour, Sums, hours_of, read_counted
from broker.tallies import HOUR_US, Counting, Tallies
from config.clock import Clock

__all__ = ["SqlStatistics"]

# So many notifications are read in one transaction: some 10 ms of a processor.
_PAGE: Final = 500
# What an answer may count by itself, in a second or two: of hours not counted yet, and of those that may have changed.
_MOST_UNCOUNTED: Final = 50_000
_MOST_RECOUNTED: Final = 10_000
_HOURS_READ: Final = 7 * 24


class SqlStatistics:
    """Implements `broker.statistics.Statistics`."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database, self._clock, self._page = database, clock, _PAGE
        self._most_uncounted, self._most_recounted = _MOST_UNCOUNTED, _MOST_RECOUNTED
        self._turns = asyncio.Lock()  # one answer is counted at a time

    async def read(self, query: StatisticsQuery) -> StatisticsAnswer:
        since, until = _floor(to_micros(query.since)), -_floor(-to_micros(query.until))
        async with self._turns:
            now = self._now()
            hours, uncounted_from = await self._database.read(
                lambda connection: (hours_of(connection, since, until), first_uncounted(connection))
            )
            counted = [one for one in hours if one.counted_at is not None]
            tail = min(until, max(since, uncounted_from, counted[-1].hour + HOUR_US if counted else since))
            anew_from = self._recounted_from(counted, tail, now)
            sums, is_complete = Sums(query), True
            for start in range(since, anew_from, _HOURS_READ * HOUR_US):
                end = min(anew_from, start + _HOURS_READ * HOUR_US)
                read = partial(read_counted, sums=sums, since=start, until=end)
                for name, tally in await self._database.read(read):
                    sums.add(name, tally)
            for one in hours:
                if one.counted_at is None and one.hour < anew_from:
                    is_complete &= await self._add_anew(sums, one.hour, one.hour + HOUR_US)
            is_complete &= await self._add_anew(sums, anew_from, until)
        counted_at = min(
            (one.counted_at or now for one in counted if one.hour < anew_from and one.due_at is not None), default=now
        )
        return StatisticsAnswer(sums.groups(), from_micros(counted_at), is_complete)

    async def count_next(self, *, rows_kept_s: float, kept_s: float) -> bool:
        keeping, now = Keeping(int(rows_kept_s * 1_000_000), int(kept_s * 1_000_000)), self._now()
        hour = await self._database.read(lambda connection: next_hour(connection, keeping, now))
        if hour is None:
            return False
        counting = await self._database.write(lambda connection: take(connection, hour, now))
        if counting is None:
            return True
        tallies: Tallies = {}
        await self._count(tallies, hour, hour + HOUR_US, pauses=True)
        if keeping.may_be_gone(hour, self._now()) and not counting.is_first:
            # Some may have been removed before they were counted: what stands was right.
            await self._database.write(lambda connection: settle_hour(connection, hour))
            return True
        due_at = keeping.next_due(hour, now)
        await self._database.write(lambda connection: write_hour(connection, hour, tallies, now, due_at))
        return True

    async def forget(self, *, before: datetime) -> bool:
        until = _floor(to_micros(before))
        return await self._database.write(lambda connection: forget(connection, until))

    async def uncounted_since(self) -> datetime:
        hour = await self._database.read(first_uncounted)
        return from_micros(hour or self._now())

    def _recounted_from(self, counted: Sequence[CountedHour], tail: int, now: int) -> int:
        """Tell from which hour on everything is counted for an answer: from the first that was never counted, and some before
        it that may have changed, as far as they are few and certainly all there."""
        budget, start = self._most_recounted, tail
        for one in reversed(counted):
            budget -= one.accepted
            if one.due_at is None or one.due_at <= now or budget < 0:
                break
            start = one.hour
        return start

    async def _add_anew(self, sums: Sums, since: int, until: int) -> bool:
        """Count hours and add them; tells whether that was everything."""
        tallies: Tallies = {}
        is_complete = await self._count(tallies, since, until, most=self._most_uncounted + self._most_recounted)
        for key, tally in tallies.items():
            if (name := sums.name_of(key)) is not None:
                sums.add(name, tally)
        return is_complete

    async def _count(self, tallies: Tallies, since: int, until: int, *, most: int | None = None, pauses: bool = False) -> bool:
        """Count notifications, at most so many; tells whether these were all. Pauses leave half of the time to others."""
        first, before = first_id_at(from_micros(since)), first_id_at(from_micros(until))
        counted = 0
        while first < before:
            began_at = self._clock.monotonic()
            read = partial(_count_page, first=first, before=before, limit=self._page)
            page, first = await self._database.read(read)
            for key, tally in page.items():
                if key in tallies:
                    tallies[key].add(tally)
                else:
                    tallies[key] = tally
            counted += self._page
            if not first:
                return True
            if most is not None and counted >= most:
                return False
            if pauses:
                await self._clock.sleep(self._clock.monotonic() - began_at)
        return True

    def _now(self) -> int:
        return to_micros(self._clock.now())


def _count_page(connection: Connection, first: str, before: str, limit: int) -> tuple[Tallies, str]:
    facts, after = read_facts(connection, first, before, limit)
    counting = Counting()
    for one in facts:
        counting.add(one)
    return counting.tallies(), after


def _floor(micros: int) -> int:
    return micros // HOUR_US * HOUR_US
