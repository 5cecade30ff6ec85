"""Several pushers on one store: every step is worked once, and those of the dead are taken over when their leases end."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import timedelta
from typing import Any

import pytest

from broker.ledger import NewSend, PlanDone, SendDone, Step, StepKind
from broker.notification import Entry, Lane, Outcome, State
from broker.store.store import Store, open_store
from config.clock import ManualClock

USERS = [f"user-{number:03}" for number in range(120)]
LEASE_S = 30.0


class Pusher:
    """Claims and records until nothing is left, one small batch at a time; or stops in the middle, as one that is killed."""

    def __init__(self, name: str, store: Store, clock: ManualClock) -> None:
        self.name, self.ledger, self.clock = name, store.ledger, clock
        self.worked: list[str] = []

    async def claim(self, quota: int = 7) -> Sequence[Step]:
        until = self.clock.now() + timedelta(seconds=LEASE_S)
        return await self.ledger.claim(self.name, dict.fromkeys(Lane, quota), lease_until=until)

    async def work(self, batches: int = 1000) -> None:
        for _ in range(batches):
            if not (steps := await self.claim()):
                return
            self.worked += [step.id for step in steps]
            plans = [self.decide(step) for step in steps if step.kind is StepKind.PLAN]
            sends = [self.deliver(step) for step in steps if step.kind is StepKind.SEND]
            await self.ledger.record(plans, sends)

    def decide(self, step: Step) -> PlanDone:
        if step.entries:
            return PlanDone(step, finish=State.EXHAUSTED)
        return PlanDone(step, sends=tuple(NewSend(device, self.clock.now()) for device in step.devices))

    def deliver(self, step: Step) -> SendDone:
        assert step.device is not None
        entry = Entry("push", Outcome.ACCEPTED, self.clock.now(), "fcm", "tok…", step.device.id, step.attempt)
        return SendDone(step, entry, self.clock.now())


@pytest.fixture
async def pushers(
    store: Store,
    open_another: Callable[[], Awaitable[Store]],
    clock: ManualClock,
    pipeline: Any,
    make_draft: Callable[..., Any],
) -> list[Pusher]:
    """Three of them, and a notification for each user, who has one device each."""
    for user in USERS:
        await pipeline.register(user)
    await pipeline.ledger.accept(make_draft(*USERS))
    return [Pusher(f"p{number}", await open_another(), clock) for number in range(3)]


@pytest.fixture
async def behind(store_url: str) -> AsyncIterator[Callable[[float, ManualClock], Awaitable[Store]]]:
    """Open the store as on a machine whose clock is off by some seconds."""
    stores: list[Store] = []

    async def open_one(seconds: float, clock: ManualClock) -> Store:
        stores.append(await open_store(store_url, clock=ManualClock(clock.now() + timedelta(seconds=seconds), seed=2)))
        return stores[-1]

    yield open_one
    for store in stores:
        await store.close()


async def test_no_step_is_worked_twice_and_all_are(pushers: list[Pusher]) -> None:
    await asyncio.gather(*(pusher.work() for pusher in pushers))
    worked = Counter(id_ for pusher in pushers for id_ in pusher.worked)
    # A first decision, a delivery and a last decision each; the decisions go by one id.
    assert len(worked) == 2 * len(USERS)
    assert {count for id_, count in worked.items() if "/" in id_} == {1}
    assert {count for id_, count in worked.items() if "/" not in id_} == {2}
    assert await pushers[0].ledger.next_due() is None


async def test_a_dead_ones_steps_are_taken_over_when_its_lease_ends(pushers: list[Pusher], clock: ManualClock) -> None:
    dead, *living = pushers
    held = {step.id for step in await dead.claim(20)}
    await asyncio.gather(*(pusher.work() for pusher in living))
    assert not held & {id_ for pusher in living for id_ in pusher.worked}
    clock.move(LEASE_S - 0.001)
    assert not await living[0].claim()
    clock.move(0.001)
    taken_over = await living[0].claim(20)
    assert {step.id for step in taken_over} == held
    assert {step.attempt for step in taken_over} == {2}


async def test_one_that_was_taken_for_dead_and_comes_back_changes_nothing(pushers: list[Pusher], clock: ManualClock) -> None:
    slow, heir, _ = pushers
    late = await slow.claim(5)
    clock.move(LEASE_S)
    await heir.work()
    before = [await heir.ledger.status(step.notification.id) for step in late]
    await slow.ledger.record([slow.decide(step) for step in late], [])
    assert [await heir.ledger.status(step.notification.id) for step in late] == before
    assert await heir.ledger.next_due() is None


async def test_one_that_ends_cleanly_leaves_nothing_to_wait_for(pushers: list[Pusher]) -> None:
    leaving, *staying = pushers
    await leaving.claim(20)
    await leaving.ledger.release(leaving.name)
    await asyncio.gather(*(pusher.work() for pusher in staying))
    assert await staying[0].ledger.next_due() is None


async def test_a_clock_that_is_off_by_less_than_a_lease_takes_nothing_away(
    pushers: list[Pusher], behind: Callable[..., Awaitable[Store]], clock: ManualClock
) -> None:
    held = await pushers[0].claim(200)
    store = await behind(LEASE_S - 1, clock)
    fast = Pusher("fast", store, ManualClock(clock.now() + timedelta(seconds=LEASE_S - 1), seed=3))
    assert len(held) == len(USERS)
    assert not await fast.claim()
