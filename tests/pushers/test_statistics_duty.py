"""The duty of statistics on a real store: hours are counted soon after they are over, and retention waits for it (N-31)."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from broker.errors import NotFound
from broker.ledger import PlanDone
from broker.notification import ROUTES, Content, Draft, Lane, State
from broker.statistics import StatisticsQuery
from broker.store.store import Store, open_store
from config.clock import ManualClock
from config.settings import NotificationSettings
from pushers.duties import Duty
from pushers.housekeeping import housekeeping
from pushers.statistics import statistics_duties


@pytest.fixture
async def store(store_file: Path, clock: ManualClock) -> AsyncIterator[Store]:
    store = await open_store(f"sqlite:///{store_file}", clock=clock)
    yield store
    await store.close()


@pytest.fixture
async def finished(store: Store, clock: ManualClock) -> str:
    """A notification that has ended."""
    draft = Draft(("ann",), Content("Tide"), Lane.NORMAL, ROUTES, 0, 0, 600)
    (accepted,) = await store.ledger.accept(draft)
    steps = await store.ledger.claim("w", dict.fromkeys(Lane, 10), lease_until=clock.now() + timedelta(seconds=30))
    await store.ledger.record([PlanDone(step, finish=State.FAILED) for step in steps], [])
    return accepted.id


def settings_of(**changes: Any) -> NotificationSettings:
    return NotificationSettings.model_validate(changes)


async def until_idle(duty: Duty) -> int:
    """Perform a duty until it has nothing to do; tells how often."""
    rounds = 1
    while await duty.work() < 30:
        rounds += 1
    return rounds


async def test_an_hour_is_counted_when_it_is_over(store: Store, clock: ManualClock, finished: str) -> None:
    settings = settings_of(retention="30m")
    (duty,) = statistics_duties(store.statistics, clock, settings)
    keeping = housekeeping(store.retention, clock, retention_s=settings.retention, statistics=store.statistics)
    assert await until_idle(duty) == 1, "it is not over yet"
    clock.move(3600)
    await keeping.work()
    assert (await store.ledger.status(finished)).notification.id == finished, "it is not counted yet"
    clock.move(3600)
    assert await until_idle(duty) == 2
    await keeping.work()
    with pytest.raises(NotFound):
        await store.ledger.status(finished)
    query = StatisticsQuery(clock.now() - timedelta(days=1), clock.now())
    (group,) = (await store.statistics.read(query)).groups
    assert group.tally.counts == {"accepted": 1, "state:failed": 1}


async def test_retention_does_not_wait_for_ever(store: Store, clock: ManualClock, finished: str) -> None:
    keeping = housekeeping(store.retention, clock, retention_s=3600, statistics=store.statistics)
    clock.move(25 * 3600)
    await keeping.work()
    assert (await store.ledger.status(finished)).notification.id == finished
    clock.move(3600)
    await keeping.work()
    with pytest.raises(NotFound):
        await store.ledger.status(finished)


async def test_what_was_counted_is_forgotten_in_its_turn(store: Store, clock: ManualClock, finished: str) -> None:
    (duty,) = statistics_duties(store.statistics, clock, settings_of(statistics={"retention": "24h"}))
    clock.move(7200)
    assert await until_idle(duty) == 2
    clock.move(26 * 3600)
    assert await until_idle(duty) > 1
    await store.erasure.erase("ann")
    query = StatisticsQuery(clock.now() - timedelta(days=3), clock.now())
    assert (await store.statistics.read(query)).groups == []


async def test_it_can_be_switched_off(store: Store, clock: ManualClock) -> None:
    assert statistics_duties(store.statistics, clock, settings_of(statistics={"enabled": False})) == []
