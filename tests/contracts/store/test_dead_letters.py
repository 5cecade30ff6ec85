"""Dead letters on every database: what leaves one, and what a replay begins (N-18)."""

from typing import Any

import pytest

from broker.dead_letters import DeadLetterFilter, Replay
from broker.ledger import NewSend, PlanDone, SendDone, StepKind
from broker.notification import Entry, Outcome, State
from broker.store.store import Store

ALL = DeadLetterFilter()


async def refuse(pipeline: Any, device: Any, outcome: Outcome = Outcome.REFUSED, detail: str = "bad payload") -> None:
    """Have the pending notification sent to a device, without success."""
    plan = await pipeline.claim_one()
    await pipeline.ledger.record([PlanDone(plan, sends=(NewSend(device, pipeline.after(0)),))], [])
    send = await pipeline.claim_one(StepKind.SEND)
    entry = Entry("push", outcome, pipeline.after(0), "fcm", "tok…", device.id, 1, detail)
    await pipeline.ledger.record([], [SendDone(send, entry, pipeline.after(0))])


async def fail(pipeline: Any, state: State = State.FAILED) -> None:
    plan = await pipeline.claim_one()
    await pipeline.ledger.record([PlanDone(plan, finish=state)], [])


async def replay(store: Store, *ids: str, **more: Any) -> list[Replay]:
    return [one.result for one in await store.dead_letters.replay(ids, **more)]


@pytest.fixture
async def refused(store: Store, pipeline: Any, make_draft: Any) -> Any:
    """A notification whose one delivery was refused, and which then failed: two letters, the newest first."""
    device = await pipeline.register()
    (one,) = await store.ledger.accept(make_draft())
    await refuse(pipeline, device)
    await fail(pipeline)
    return one


async def test_each_fruitless_delivery_and_each_failure_leaves_a_letter(
    store: Store, pipeline: Any, refused: Any, clock: Any
) -> None:
    whole, delivery = await store.dead_letters.find(ALL, limit=10)
    assert (delivery.notification_id, delivery.user) == (refused.id, "ann")
    assert (delivery.reason, delivery.detail) == ("refused", "bad payload")
    assert (delivery.route, delivery.provider, delivery.address) == ("push", "fcm", "tok…")
    assert delivery.at == clock.now()
    assert (whole.notification_id, whole.reason, whole.detail, whole.device_id) == (refused.id, "failed", "push refused", "")


@pytest.mark.parametrize("outcome", [Outcome.GAVE_UP, Outcome.UNKNOWN, Outcome.PAUSED])
async def test_other_ends_without_success_leave_one(store: Store, pipeline: Any, make_draft: Any, outcome: Outcome) -> None:
    device = await pipeline.register()
    await store.ledger.accept(make_draft())
    await refuse(pipeline, device, outcome)
    assert [letter.reason for letter in await store.dead_letters.find(ALL, limit=10)] == [outcome]


@pytest.mark.parametrize("outcome", [Outcome.ACCEPTED, Outcome.UNREGISTERED, Outcome.EXPIRED])
async def test_what_cannot_be_mended_leaves_none(store: Store, pipeline: Any, make_draft: Any, outcome: Outcome) -> None:
    device = await pipeline.register()
    await store.ledger.accept(make_draft())
    await refuse(pipeline, device, outcome)
    await fail(pipeline, State.EXHAUSTED)
    assert await store.dead_letters.find(ALL, limit=10) == []


async def test_letters_come_in_pages_and_by_rule(store: Store, pipeline: Any, make_draft: Any) -> None:
    for _ in range(5):
        await store.ledger.accept(make_draft())
        await fail(pipeline)
    first = await store.dead_letters.find(ALL, limit=3)
    second = await store.dead_letters.find(ALL, before=first[-1].id, limit=3)
    numbers = [int(letter.id) for letter in (*first, *second)]
    assert len(numbers) == 5
    assert numbers == sorted(numbers, reverse=True)
    assert await store.dead_letters.find(DeadLetterFilter(reason="refused"), limit=3) == []
    assert len(await store.dead_letters.find(DeadLetterFilter(reason="failed"), limit=9)) == 5
    assert await store.dead_letters.find(DeadLetterFilter(provider="fcm"), limit=3) == []
    assert await store.dead_letters.find(DeadLetterFilter(since=pipeline.after(1)), limit=3) == []
    assert await store.dead_letters.find(ALL, before="nonsense", limit=3) == []


@pytest.mark.parametrize("vain", ["cancel", "acknowledge", "click"])
async def test_what_somebody_ended_in_vain_is_sent_again(store: Store, pipeline: Any, make_draft: Any, vain: str) -> None:
    """It had ended by itself, and so its replay is nobody's who was ended."""
    device = await pipeline.register()
    (one,) = await store.ledger.accept(make_draft())
    await refuse(pipeline, device)
    await fail(pipeline, State.EXPIRED)
    match vain:
        case "cancel":
            assert await store.ledger.cancel(one.id) is State.EXPIRED
        case "acknowledge":
            assert await store.ledger.acknowledge(one.id, "ann") is State.EXPIRED
        case _:
            await store.tracking.clicked(one.id, 1, "https://x.test/7")
    (delivery,) = await store.dead_letters.find(ALL, limit=10)
    assert await replay(store, delivery.id) == [Replay.REPLAYED]
    assert (await pipeline.claim_one(StepKind.SEND)).notification.id == one.id
    assert not store.ledger.is_ended(one.id)


async def test_a_replayed_delivery_has_fresh_attempts_and_repeats_nothing_else(
    store: Store, pipeline: Any, refused: Any
) -> None:
    _, delivery = await store.dead_letters.find(ALL, limit=10)
    assert await replay(store, delivery.id) == [Replay.REPLAYED]
    send = await pipeline.claim_one(StepKind.SEND)
    assert (send.attempt, send.device.id, send.notification.state) == (1, delivery.device_id, State.PENDING)
    assert not store.ledger.is_ended(refused.id)
    entry = Entry("push", Outcome.ACCEPTED, pipeline.after(0), "fcm", "tok…", delivery.device_id, 1)
    await store.ledger.record([], [SendDone(send, entry, pipeline.after(0))])
    plan = await pipeline.claim_one()
    assert [line.outcome for line in plan.entries] == [Outcome.REFUSED, Outcome.REPLAYED, Outcome.ACCEPTED]
    await store.ledger.record([PlanDone(plan, finish=State.EXHAUSTED)], [])
    status = await store.ledger.status(refused.id)
    assert status.notification.state is State.EXHAUSTED
    assert status.entries[1].detail == "replay 1"
    assert status.entries[1].address == "tok…"


async def test_a_replayed_failure_begins_with_its_first_route(store: Store, pipeline: Any, refused: Any) -> None:
    whole, _ = await store.dead_letters.find(ALL, limit=10)
    assert await replay(store, whole.id) == [Replay.REPLAYED]
    plan = await pipeline.claim_one()
    assert plan.entries == ()
    assert plan.attempt == 1
    assert [device.user for device in plan.devices] == ["ann"]
    status = await store.ledger.status(refused.id)
    assert status.notification.state is State.PENDING
    assert [line.outcome for line in status.entries] == [Outcome.REFUSED, Outcome.REPLAYED]
    await store.ledger.record([PlanDone(plan, finish=State.FAILED)], [])
    newest = (await store.dead_letters.find(ALL, limit=1))[0]
    assert newest.id not in (whole.id, "")
    assert await replay(store, newest.id) == [Replay.REPLAYED]
    assert (await store.ledger.status(refused.id)).entries[-1].detail == "replay 2"


async def test_a_repeat_changes_nothing(store: Store, pipeline: Any, refused: Any, together: Any) -> None:
    whole, delivery = await store.dead_letters.find(ALL, limit=10)
    answers = await together(*(store.dead_letters.replay([delivery.id]) for _ in range(4)))
    assert sorted(one.result for (one,) in answers) == [Replay.ALREADY] * 3 + [Replay.REPLAYED]
    assert await replay(store, whole.id, delivery.id) == [Replay.ALREADY, Replay.ALREADY], "one is being tried"
    assert len((await store.ledger.status(refused.id)).entries) == 2
    assert [letter.id for letter in await store.dead_letters.find(ALL, limit=10)] == [whole.id]
    seen = await store.dead_letters.find(DeadLetterFilter(with_replayed=True), limit=10)
    assert [letter.replayed_at is None for letter in seen] == [True, False]


async def test_what_is_over_is_not_begun_again(store: Store, pipeline: Any, refused: Any, clock: Any) -> None:
    whole, delivery = await store.dead_letters.find(ALL, limit=10)
    assert await replay(store, "0", "-1", "x", "99999999999999999999", "9223372036854775807") == [Replay.NOT_FOUND] * 5
    await store.devices.remove("ann", delivery.device_id)
    assert await replay(store, delivery.id) == [Replay.DEVICE_GONE]
    await store.ledger.acknowledge(refused.id, "ann")
    assert await replay(store, whole.id, delivery.id) == [Replay.ENDED] * 2
    assert await pipeline.claim() == ()


async def test_a_dry_run_only_tells(store: Store, pipeline: Any, refused: Any) -> None:
    whole, delivery = await store.dead_letters.find(ALL, limit=10)
    assert await replay(store, whole.id, delivery.id, dry_run=True) == [Replay.REPLAYED] * 2
    assert await pipeline.claim() == ()
    assert len((await store.ledger.status(refused.id)).entries) == 1


async def test_what_expired_needs_a_longer_life(store: Store, pipeline: Any, make_draft: Any, clock: Any) -> None:  # N-18
    accepted = await store.ledger.accept(make_draft("ann", "ben"))
    for step in await pipeline.claim():
        await store.ledger.record([PlanDone(step, finish=State.FAILED)], [])
    before = (await store.ledger.status(accepted[0].id)).notification
    clock.move(10_000)
    letters = {letter.user: letter.id for letter in await store.dead_letters.find(ALL, limit=10)}
    assert await replay(store, letters["ann"]) == [Replay.EXPIRED]
    assert await replay(store, letters["ann"], extend_ttl_s=60.0) == [Replay.REPLAYED]
    step = await pipeline.claim_one()
    assert step.notification.expires_at == pipeline.after(60)
    assert (step.notification.content, step.notification.created_at) == (before.content, before.created_at)
    ben = (await store.ledger.status(accepted[1].id)).notification
    assert ben.expires_at == before.expires_at, "who shared the request keeps what was said"
    await store.ledger.record([PlanDone(step, finish=State.FAILED)], [])
    assert await replay(store, letters["ben"], extend_ttl_s=60.0) == [Replay.REPLAYED]


async def test_a_replay_wakes_the_pipeline(store: Store, pipeline: Any, refused: Any) -> None:
    woken = []
    store.ledger.on_work(lambda: woken.append(1))
    whole, _ = await store.dead_letters.find(ALL, limit=10)
    await replay(store, whole.id, dry_run=True)
    assert await store.ledger.next_due() is None
    woken.clear()
    await replay(store, whole.id)
    assert woken == [1]


async def test_a_delivery_is_replayed_while_the_others_go_on(store: Store, pipeline: Any, make_draft: Any) -> None:
    device = await pipeline.register()
    (one,) = await store.ledger.accept(make_draft())
    await refuse(pipeline, device)
    plan = await pipeline.claim_one()
    (letter,) = await store.dead_letters.find(ALL, limit=10)
    assert await replay(store, letter.id) == [Replay.REPLAYED]
    await store.ledger.record([PlanDone(plan, finish=State.FAILED)], [])
    assert (await store.ledger.status(one.id)).notification.state is State.PENDING, "a decision from before counts no more"
    send = await pipeline.claim_one(StepKind.SEND)
    await store.ledger.record([], [SendDone(send, None, pipeline.after(0))])
    assert (await pipeline.claim_one()).kind is StepKind.PLAN
