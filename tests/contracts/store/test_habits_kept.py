"""When users open what they are told is counted with their marks where that is asked for, on every database (N-30)."""

from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from broker.confirmations import Mark
from broker.devices import Registration
from broker.errors import BadInput
from broker.habits import NO_HABITS, Habits
from broker.ledger import PlanDone
from broker.notification import Draft, Entry, Outcome, Provider, Terms
from broker.preferences import UserRules
from broker.store.store import Store, open_store
from config.clock import ManualClock


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(datetime(2026, 1, 10, 6, 20, tzinfo=UTC))


@pytest.fixture
async def keeping(store_url: str, clock: ManualClock) -> AsyncIterator[Store]:
    """A store that keeps habits."""
    store = await open_store(store_url, clock=clock, keeps_habits=True, timezone="Asia/Kathmandu")
    yield store
    await store.close()


@pytest.fixture
def by_habit(make_draft: Callable[..., Draft]) -> Callable[..., Draft]:
    def make(*users: str, **terms: Any) -> Draft:
        return msgspec.structs.replace(make_draft(*users), terms=Terms(by_habit=True, **terms))

    return make


async def told(store: Store, draft: Draft) -> str:
    (accepted,) = await store.ledger.accept(draft)
    return accepted.id


async def habits_of(store: Store, pipeline_on: Any, draft: Draft) -> dict[str, Habits]:
    """What a decision knows of the users of what is told by habit."""
    ids = {accepted.id for accepted in await store.ledger.accept(draft)}
    steps = await pipeline_on(store).claim()
    return {step.notification.user: step.habits for step in steps if step.notification.id in ids}


def at(**counts: int) -> tuple[int, ...]:
    return tuple(counts.get(f"h{hour}", 0) for hour in range(24))


async def test_opens_count_by_the_hour_of_the_users_own_day(
    keeping: Store, pipeline_on: Any, make_draft: Any, by_habit: Any, clock: ManualClock
) -> None:
    await keeping.preferences.change("ann", (), UserRules(timezone="America/New_York"))
    await keeping.devices.register(Registration("ann", Provider.FCM, "t-1", "x", timezone="Asia/Tokyo"))
    for zone, number in (("Europe/Rome", 2), ("Asia/Tokyo", 3), ("", 4)):
        clock.move(1)
        await keeping.devices.register(Registration("bob", Provider.FCM, f"t-{number}", "x", timezone=zone))
    for user in ("ann", "bob", "eve"):
        await keeping.ledger.acknowledge(await told(keeping, make_draft(user)), user)
    found = await habits_of(keeping, pipeline_on, by_habit("ann", "bob", "eve"))
    assert {user: habits.own for user, habits in found.items()} == {
        "ann": at(h1=1),  # what a user says
        "bob": at(h15=1),  # the newest device's
        "eve": at(h12=1),  # everybody's
    }
    assert found["ann"].of_all == at(h1=1, h12=1, h15=1)


async def test_what_is_seen_counts_once_whoever_says_so(
    keeping: Store, pipeline_on: Any, make_draft: Any, by_habit: Any, clock: ManualClock
) -> None:
    ids = [await told(keeping, make_draft()) for _ in range(6)]
    await keeping.ledger.acknowledge(ids[0], "ann", Mark.CLICKED)
    await keeping.tracking.clicked(ids[1], 0, "https://x.test/")
    await keeping.tracking.opened(ids[2], is_seen=True)
    await keeping.inbox.mark("ann", ids[3:5], Mark.SEEN)
    await keeping.inbox.mark_all("ann", Mark.READ)
    clock.move(3600)
    for id in ids:  # said again, or more of it: no other open
        await keeping.inbox.mark("ann", [id], Mark.READ)
        await keeping.ledger.acknowledge(id, "ann")
    assert (await habits_of(keeping, pipeline_on, by_habit()))["ann"].own == at(h12=5)


async def test_what_is_swept_away_or_somebody_elses_counts_not(
    keeping: Store, pipeline_on: Any, make_draft: Any, by_habit: Any
) -> None:
    await keeping.inbox.mark("ann", [await told(keeping, make_draft())], Mark.DISMISSED)
    await keeping.inbox.mark("eve", [await told(keeping, make_draft())], Mark.SEEN)
    assert (await habits_of(keeping, pipeline_on, by_habit("ann")))["ann"] == NO_HABITS


async def test_acks_at_the_same_time_all_count(
    keeping: Store, pipeline_on: Any, make_draft: Any, by_habit: Any, together: Any
) -> None:
    ids = [await told(keeping, make_draft()) for _ in range(8)]
    await together(*(keeping.ledger.acknowledge(id, "ann") for id in ids))
    known = (await habits_of(keeping, pipeline_on, by_habit()))["ann"]
    assert (sum(known.own), known.of_all) == (8, at()), "who has enough of their own is not compared with others"


async def test_nothing_is_kept_or_read_unasked(
    store: Store, keeping: Store, pipeline_on: Any, make_draft: Any, by_habit: Any
) -> None:
    await store.ledger.acknowledge(await told(store, make_draft()), "ann")
    assert (await habits_of(keeping, pipeline_on, by_habit()))["ann"] == NO_HABITS
    await keeping.ledger.acknowledge(await told(keeping, make_draft()), "ann")
    assert (await habits_of(keeping, pipeline_on, make_draft()))["ann"] == NO_HABITS


async def test_an_erased_users_habits_go(keeping: Store, pipeline_on: Any, make_draft: Any, by_habit: Any) -> None:
    for user in ("ann", "bob"):
        await keeping.ledger.acknowledge(await told(keeping, make_draft(user)), user)
    await keeping.erasure.erase("ann")
    assert (await habits_of(keeping, pipeline_on, by_habit("ann")))["ann"] == Habits(of_all=at(h12=1))


async def test_it_lives_from_the_latest_moment_and_waits_for_its_own(
    keeping: Store, pipeline_on: Any, by_habit: Any, clock: ManualClock
) -> None:
    pipeline = pipeline_on(keeping)
    latest = clock.now() + timedelta(hours=9)
    id = await told(keeping, by_habit(latest=latest))
    step = await pipeline.claim_one()
    assert step.notification.expires_at == latest + timedelta(seconds=600)
    line = Entry("", Outcome.DEFERRED, clock.now(), detail="until 10:00 UTC")
    await keeping.ledger.record([PlanDone(step, (line,), next_plan_at=pipeline.after(3600))], [])
    clock.move(3599)
    assert not await pipeline.claim()
    clock.move(1)
    again = await pipeline.claim_one()
    assert (again.notification.id, again.entries) == (id, (line,))


async def test_a_latest_moment_that_is_over_or_too_far_is_refused(keeping: Store, by_habit: Any, clock: ManualClock) -> None:
    for latest in (clock.now() - timedelta(seconds=1), clock.now() + timedelta(days=400)):
        with pytest.raises(BadInput, match="latest"):
            await keeping.ledger.accept(by_habit(latest=latest))
    draft = by_habit(latest=clock.now() + timedelta(hours=1))
    first = await keeping.ledger.accept(draft, idempotency_key="k", fingerprint=b"f")
    clock.move(7200)
    assert await keeping.ledger.accept(draft, idempotency_key="k", fingerprint=b"f") == first, "a late repeat is no new one"
