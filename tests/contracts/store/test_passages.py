"""Passages on every database: what was begun under a plan's lease is written in one stroke, and no less durable by it."""

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

from broker.ledger import NewSend, Passage, PlanDone, SendDone, Step, StepKind, send_of
from broker.notification import Device, Entry, Outcome, State
from broker.store.store import Store

MakeDraft = Callable[..., Any]


def begin(pipeline: Any, plan: Step, devices: Sequence[Device]) -> tuple[PlanDone, list[Step]]:
    """Decide for a send to each device, all begun at once."""
    now = pipeline.after(0)
    sends = tuple(NewSend(device, now) for device in devices)
    done = PlanDone(plan, (Entry("live", Outcome.OFFLINE, now),), sends=sends)
    return done, [send_of(plan, device) for device in devices]


def made(pipeline: Any, step: Step, outcome: Outcome = Outcome.ACCEPTED, **more: Any) -> SendDone:
    assert step.device is not None
    entry = Entry("push", outcome, pipeline.after(0), "fcm", "tok…", step.device.id, step.attempt)
    return SendDone(step, entry, pipeline.after(0), **more)


async def outcomes(store: Store, notification_id: str) -> tuple[State, list[str]]:
    status = await store.ledger.status(notification_id)
    return status.notification.state, [entry.outcome.value for entry in status.entries]


async def test_one_record_holds_all_from_the_decision_to_the_end(store: Store, pipeline: Any, make_draft: MakeDraft) -> None:
    devices = [await pipeline.register(), await pipeline.register()]
    (one,) = await store.ledger.accept(make_draft())
    plan = await pipeline.claim_one()
    done, steps = begin(pipeline, plan, devices)
    then = PlanDone(plan, (Entry("email", Outcome.MUTED, pipeline.after(0)),), finish=State.EXHAUSTED)
    dead = made(pipeline, steps[1], Outcome.UNREGISTERED, drop_device=pipeline.after(0))
    await store.ledger.record([], [], [Passage(done, (made(pipeline, steps[0]), dead), (), then)])
    assert await outcomes(store, one.id) == (State.EXHAUSTED, ["offline", "accepted", "unregistered", "muted"])
    assert [device.id for device in await store.devices.of_user("ann")] == [devices[0].id]
    assert await store.ledger.next_due() is None
    assert store.ledger.is_ended(one.id)


async def test_without_a_next_decision_the_plan_is_due(store: Store, pipeline: Any, make_draft: MakeDraft) -> None:
    device = await pipeline.register()
    await store.ledger.accept(make_draft())
    done, (step,) = begin(pipeline, await pipeline.claim_one(), [device])
    await store.ledger.record([], [], [Passage(done, (made(pipeline, step),))])
    again = await pipeline.claim_one()
    assert (again.attempt, [entry.outcome for entry in again.entries]) == (1, [Outcome.OFFLINE, Outcome.ACCEPTED])


async def test_a_next_decision_may_wait_or_open_sends(store: Store, pipeline: Any, make_draft: MakeDraft) -> None:
    device = await pipeline.register()
    await store.ledger.accept(make_draft())
    plan = await pipeline.claim_one()
    done, (step,) = begin(pipeline, plan, [device])
    passage = Passage(done, (made(pipeline, step),), (), PlanDone(plan, next_plan_at=pipeline.after(5)))
    await store.ledger.record([], [], [passage])
    assert not await pipeline.claim()
    pipeline.clock.move(5.0)
    plan = await pipeline.claim_one()
    done, (step,) = begin(pipeline, plan, [device])
    then = PlanDone(plan, sends=(NewSend(device, pipeline.after(0)),))
    await store.ledger.record([], [], [Passage(done, (made(pipeline, step),), (), then)])
    assert (await pipeline.claim_one(StepKind.SEND)).attempt == 1


async def test_what_is_to_be_tried_again_is_opened_and_counts_its_attempt(
    store: Store, pipeline: Any, make_draft: MakeDraft
) -> None:
    devices = [await pipeline.register(), await pipeline.register()]
    await store.ledger.accept(make_draft())
    done, steps = begin(pipeline, await pipeline.claim_one(), devices)
    failed = made(pipeline, steps[0], Outcome.RETRY, retry_at=pipeline.after(1))
    put_off = SendDone(steps[1], None, pipeline.after(0), retry_at=pipeline.after(1), counts=False)
    await store.ledger.record([], [], [Passage(done, (failed, put_off))])
    assert not await pipeline.claim()
    pipeline.clock.move(1.0)
    attempts = {step.device.id: step.attempt for step in await pipeline.claim()}
    assert attempts == {devices[0].id: 2, devices[1].id: 1}


async def test_what_is_under_way_is_opened_with_the_lease_it_has(store: Store, pipeline: Any, make_draft: MakeDraft) -> None:
    devices = [await pipeline.register(), await pipeline.register()]
    (one,) = await store.ledger.accept(make_draft())
    done, steps = begin(pipeline, await pipeline.claim_one(), devices)
    await store.ledger.record([], [], [Passage(done, (made(pipeline, steps[0]),), (steps[1],))])
    assert not await pipeline.claim(worker="w2")
    await store.ledger.record([], [made(pipeline, steps[1])])
    plan = await pipeline.claim_one()
    assert [entry.outcome.value for entry in plan.entries] == ["offline", "accepted", "accepted"]
    assert plan.notification.id == one.id


async def test_what_was_under_way_is_taken_over_when_its_lease_ends(store: Store, pipeline: Any, make_draft: MakeDraft) -> None:
    device = await pipeline.register()
    await store.ledger.accept(make_draft())
    done, steps = begin(pipeline, await pipeline.claim_one(), [device])
    await store.ledger.record([], [], [Passage(done, (), tuple(steps))])
    await store.ledger.renew(steps, lease_until=pipeline.after(60))
    pipeline.clock.move(59.0)
    assert not await pipeline.claim(worker="w2")
    pipeline.clock.move(1.0)
    taken = await pipeline.claim_one(StepKind.SEND, worker="w2")
    assert (taken.attempt, taken.device) == (2, device)


async def test_what_was_under_way_is_given_back_with_its_worker(store: Store, pipeline: Any, make_draft: MakeDraft) -> None:
    device = await pipeline.register()
    await store.ledger.accept(make_draft())
    done, steps = begin(pipeline, await pipeline.claim_one(), [device])
    await store.ledger.record([], [], [Passage(done, (), tuple(steps))])
    await store.ledger.release("w1")
    assert (await pipeline.claim_one(StepKind.SEND, worker="w2")).attempt == 1


async def test_what_was_under_way_may_end_in_the_record_that_opens_it(
    store: Store, pipeline: Any, make_draft: MakeDraft
) -> None:
    device = await pipeline.register()
    await store.ledger.accept(make_draft())
    done, (step,) = begin(pipeline, await pipeline.claim_one(), [device])
    await store.ledger.record([], [made(pipeline, step)], [Passage(done, (), (step,))])
    assert len((await pipeline.claim_one()).entries) == 2


async def test_an_ack_wins_and_what_was_made_is_still_told(store: Store, pipeline: Any, make_draft: MakeDraft) -> None:
    device = await pipeline.register()
    (one,) = await store.ledger.accept(make_draft())
    plan = await pipeline.claim_one()
    done, (step,) = begin(pipeline, plan, [device])
    await store.ledger.acknowledge(one.id, "ann")
    then = PlanDone(plan, finish=State.EXHAUSTED)
    await store.ledger.record([], [], [Passage(done, (made(pipeline, step, drop_device=pipeline.after(0)),), (), then)])
    assert (await outcomes(store, one.id))[0] is State.ACKNOWLEDGED
    assert sorted((await outcomes(store, one.id))[1]) == ["accepted", "acknowledged", "offline"]
    assert await store.devices.of_user("ann") == [device]


async def test_once_taken_over_it_changes_nothing_but_the_timeline(store: Store, pipeline: Any, make_draft: MakeDraft) -> None:
    devices = [await pipeline.register(), await pipeline.register()]
    await store.ledger.accept(make_draft())
    done, steps = begin(pipeline, await pipeline.claim_one(), devices)
    pipeline.clock.move(timedelta(seconds=30).total_seconds())
    taken = await pipeline.claim_one(worker="w2")
    assert taken.attempt == 2
    await store.ledger.record([], [], [Passage(done, (made(pipeline, steps[0]),), (steps[1],))])
    assert not await pipeline.claim()
    done, steps = begin(pipeline, taken, devices)
    assert [step.attempt for step in steps] == [2, 2]
    await store.ledger.record([], [], [Passage(done, tuple(made(pipeline, step) for step in steps))])
    assert len((await pipeline.claim_one()).entries) == 5


async def test_writing_it_twice_repeats_lines_and_nothing_else(store: Store, pipeline: Any, make_draft: MakeDraft) -> None:
    devices = [await pipeline.register(), await pipeline.register()]
    await store.ledger.accept(make_draft())
    done, steps = begin(pipeline, await pipeline.claim_one(), devices)
    passage = Passage(done, (made(pipeline, steps[0]),), (steps[1],))
    await store.ledger.record([], [], [passage])
    await store.ledger.record([], [], [passage])
    await store.ledger.record([], [made(pipeline, steps[1])])
    assert len((await pipeline.claim_one()).entries) == 5
