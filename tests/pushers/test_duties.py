"""Duties: pieces with pauses, and what goes wrong in one ends no other."""

import asyncio
from datetime import timedelta

import pytest
from structlog.testing import capture_logs

from broker.deletion_guards import ClosedGuard
from broker.errors import StoreUnavailable
from broker.pipeline_reports import PipelineReport
from config.operation_settings import DeletionGuardSettings
from pushers.deletion_guard import DeletionGuard
from pushers.duties import Duties, Duty
from pushers.guard_reports import guard_reports
from pushers.housekeeping import housekeeping
from pushers.outcome import DropDevice
from pushers.pipeline_reports import pipeline_reports


@pytest.fixture
async def perform(clock):
    """Begin duties; they end with the test."""
    tasks = []

    def begin(*duties):
        tasks.append(asyncio.create_task(Duties(duties, clock).run()))

    yield begin
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_a_duty_pauses_as_long_as_it_says(perform, clock):
    done = []

    async def work():
        done.append(clock.monotonic())
        return 5.0

    perform(Duty("count", work))
    await clock.advance(21.0)
    assert [round(at - done[0], 3) for at in done] == [0.0, 5.0, 10.0, 15.0, 20.0]


async def test_what_breaks_one_is_told_and_ends_no_other(perform, clock):
    done = {"away": 0, "broken": 0, "well": 0}

    async def away():
        done["away"] += 1
        raise StoreUnavailable("away")

    async def broken():
        done["broken"] += 1
        raise ValueError("ours")

    async def well():
        done["well"] += 1
        return 10.0

    with capture_logs() as logs:
        perform(Duty("away", away), Duty("broken", broken), Duty("well", well))
        await clock.advance(59.0)
    assert done["well"] == 6
    assert done["broken"] == 1
    assert done["away"] > 3
    assert [line["event"] for line in logs] == ["outage.began", "duty.broke"]
    await clock.advance(2.0)
    assert done["broken"] == 2


class Shelf:
    """The port Retention: so many old notifications, taken away in pieces."""

    def __init__(self, count):
        self.count, self.sweeps, self.key_sweeps = count, [], 0

    async def sweep(self, *, before, limit):
        self.sweeps.append(before)
        taken = min(limit, self.count)
        self.count -= taken
        return taken

    async def sweep_keys(self):
        self.key_sweeps += 1
        return 0


async def test_retention_goes_on_in_pieces_until_nothing_is_old(perform, clock):
    shelf = Shelf(1000)
    perform(housekeeping(shelf, clock, retention_s=86400.0))
    await clock.advance(0.5)
    assert shelf.count == 400, "200 at a time, with pauses"
    await clock.advance(10.0)
    assert (shelf.count, len(shelf.sweeps)) == (0, 6)
    assert shelf.sweeps[0] == clock.now() - timedelta(seconds=10.5 + 86400)
    await clock.advance(300.0)
    assert len(shelf.sweeps) == 7


async def test_without_retention_only_keys_go(perform, clock):
    shelf = Shelf(1000)
    perform(housekeeping(shelf, clock, retention_s=0.0))
    await clock.advance(1000.0)
    assert (shelf.sweeps, shelf.key_sweeps) == ([], 4)


class Reports:
    """The port DeletionGuards, as a memory of what was reported; `trusted` is what an operator says."""

    def __init__(self):
        self.told, self.trusted = [], frozenset()

    async def report(self, worker, closed):
        self.told.append((worker, list(closed)))
        trusted, self.trusted = self.trusted, frozenset()
        return trusted


async def test_closed_guards_are_reported_and_hear_the_operators_word(perform, clock):  # N-24
    guards = [DeletionGuard(name, DeletionGuardSettings(least=2), clock) for name in ("apns", "fcm")]
    reports = Reports()
    perform(guard_reports(guards, reports, clock, worker_id="w-1"))
    await clock.advance(30.0)
    assert reports.told == [], "nothing is said while all is well"
    for _ in range(5):
        guards[0].allows(DropDevice("gone", clock.now()))
    await clock.advance(5.0)
    closed_at = clock.now()
    await clock.advance(5.0)
    [(worker, first), (_, second)] = reports.told
    assert worker == "w-1"
    assert first == second == [ClosedGuard("apns", "w-1", closed_at, 3)]
    reports.trusted = frozenset({"apns"})
    await clock.advance(5.0)
    assert not guards[0].is_keeping
    count = len(reports.told)
    await clock.advance(30.0)
    assert len(reports.told) == count, "it was taken back with the operator's word"


async def test_a_guard_that_opens_by_itself_is_taken_back_once(perform, clock):
    guard = DeletionGuard("apns", DeletionGuardSettings(least=2, window=60.0), clock)
    reports = Reports()
    perform(guard_reports([guard], reports, clock, worker_id="w-1"))
    for _ in range(5):
        guard.allows(DropDevice("gone", clock.now()))
    await clock.advance(120.0)
    assert reports.told[-1] == ("w-1", [])
    assert [bool(closed) for _, closed in reports.told].count(False) == 1


async def test_a_pipeline_says_again_and_again_how_it_is_now(perform, clock):
    told = []

    class Board:
        async def report(self, report):
            told.append(report)

    perform(pipeline_reports(lambda: PipelineReport("w-1", "pusher", clock.now(), {}, []), Board()))
    begun_at = clock.now()
    await clock.advance(10.0)
    assert [report.at - begun_at for report in told] == [timedelta(seconds=moment) for moment in (0, 5, 10)]
