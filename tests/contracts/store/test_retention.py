"""Retention and erasure on every database: what is old goes, what is somebody's goes, and nothing else."""

from datetime import timedelta
from typing import Any

import msgspec
import pytest
from sqlalchemy import select, update

from broker.dead_letters import DeadLetterFilter
from broker.devices import Registration
from broker.errors import NotFound
from broker.ledger import NewSend, PlanDone, SendDone, StepKind
from broker.notification import Accepted, Entry, Escalation, Outcome, Preference, Provider, State
from broker.routing import RoutePolicy
from broker.store.schema import IDEMPOTENCY_KEYS
from broker.store.store import Store

OLD = timedelta(days=30)


async def finish_all(pipeline: Any, state: State = State.EXHAUSTED) -> None:
    entry = Entry("live", Outcome.OFFLINE, pipeline.after(0))
    for step in await pipeline.claim():
        await pipeline.ledger.record([PlanDone(step, entries=(entry,), finish=state)], [])


async def exists(store: Store, notification_id: str) -> bool:
    try:
        await store.ledger.status(notification_id)
    except NotFound:
        return False
    return True


async def test_finished_ones_go_when_they_are_old(store: Store, pipeline: Any, make_draft: Any, clock: Any) -> None:
    old = await store.ledger.accept(make_draft("ann", "ben"))
    await finish_all(pipeline, State.FAILED)
    pending = await store.ledger.accept(make_draft("cid", ttl_s=1e7))
    clock.move(86400)
    young = await store.ledger.accept(make_draft("dan"))
    plans = [step for step in await pipeline.claim() if step.notification.user == "dan"]
    await store.ledger.record([PlanDone(plans[0], finish=State.EXHAUSTED)], [])
    clock.move(OLD.total_seconds() - 3600)

    assert await store.retention.sweep(before=clock.now() - OLD, limit=100) == 3, "the pending one is looked at"
    assert [await exists(store, one.id) for one in (*old, *pending, *young)] == [False, False, True, True]
    assert [letter.user for letter in await store.dead_letters.find(DeadLetterFilter(with_replayed=True), limit=10)] == []


async def test_a_sweep_is_bounded_and_goes_on_where_it_was(store: Store, pipeline: Any, make_draft: Any, clock: Any) -> None:
    kept = await store.ledger.accept(make_draft("waits", ttl_s=1e7))
    clock.move(1)
    users = [f"user-{number}" for number in range(25)]
    accepted = await store.ledger.accept(make_draft(*users))
    for step in await pipeline.claim():
        if step.notification.user != "waits":
            await store.ledger.record([PlanDone(step, finish=State.EXHAUSTED)], [])
    clock.move(OLD.total_seconds() + 1)
    looked_at = []
    while not looked_at or looked_at[-1] == 10:
        looked_at.append(await store.retention.sweep(before=clock.now() - OLD, limit=10))
        alive = sum([await exists(store, one.id) for one in accepted])
        assert alive == max(0, 25 - 10 * len(looked_at) + 1), "ten at a time, one of them pending"
    assert sum(looked_at) == 26
    assert await exists(store, kept[0].id)
    assert await store.retention.sweep(before=clock.now() - OLD, limit=10) == 1, "it begins anew"


async def test_a_request_stays_whole_while_one_of_its_users_waits(
    store: Store, pipeline: Any, make_draft: Any, clock: Any
) -> None:
    ann, ben = await store.ledger.accept(make_draft("ann", "ben", ttl_s=1e7))
    plan = next(step for step in await pipeline.claim() if step.notification.user == "ann")
    await store.ledger.record([PlanDone(plan, finish=State.EXHAUSTED)], [])
    clock.move(OLD.total_seconds() + 1)
    await store.retention.sweep(before=clock.now() - OLD, limit=10)
    assert not await exists(store, ann.id)
    assert (await store.ledger.status(ben.id)).notification.content.title == "Tide"
    await finish_all(pipeline)
    await store.retention.sweep(before=clock.now() - OLD, limit=10)
    assert not await exists(store, ben.id)


async def test_sweeps_at_the_same_time_do_not_disturb_each_other(
    open_another: Any, pipeline: Any, make_draft: Any, clock: Any, together: Any
) -> None:
    stores = [await open_another() for _ in range(3)]
    await stores[0].ledger.accept(make_draft(*(f"user-{number}" for number in range(60))))
    await finish_all(pipeline)
    clock.move(OLD.total_seconds() + 1)
    answers = await together(*(store.retention.sweep(before=clock.now() - OLD, limit=100) for store in stores))
    assert all(isinstance(answer, int) for answer in answers), answers
    assert await stores[0].retention.sweep(before=clock.now(), limit=100) == 0


async def test_dead_keys_go(store: Store, make_draft: Any, clock: Any) -> None:
    for number in range(3):
        await store.ledger.accept(make_draft(), idempotency_key=f"key-{number}", fingerprint=b"1")
    assert await store.retention.sweep_keys() == 0
    clock.move(3600)
    assert await store.retention.sweep_keys() == 3


@pytest.fixture
async def two(store: Store, pipeline: Any, make_draft: Any) -> Any:
    """Two users who have one of everything, and share requests."""
    for user in ("ann", "ben"):
        await store.devices.register(Registration(user, Provider.FCM, f"token-of-{user}", "android"))
        await store.preferences.set(user, [Preference("*", "email", False), Preference("water", "*", True)])
    finished = await store.ledger.accept(make_draft("ann", "ben"))
    await finish_all(pipeline, State.FAILED)
    pending = await store.ledger.accept(make_draft("ann", "ben"))
    return finished, pending


async def test_erasing_takes_everything_of_one_user_and_nothing_of_another(store: Store, pipeline: Any, two: Any) -> None:
    finished, pending = two
    counts = await store.erasure.erase("ann")
    assert counts == {
        "dead_letters": 1,
        "devices": 1,
        "entries": 1,
        "notifications": 2,
        "preferences": 2,
        "steps": 1,
    }
    assert [await exists(store, one.id) for one in (*finished, *pending)] == [False, True, False, True]
    assert await store.devices.of_user("ann") == []
    assert await store.preferences.of_user("ann") == []
    assert len(await store.devices.of_user("ben")) == 1
    assert len(await store.preferences.of_user("ben")) == 2
    assert [step.notification.user for step in await pipeline.claim()] == ["ben"]
    assert await store.erasure.erase("ann") == {}
    assert await store.erasure.erase("no\0name") == {}


@pytest.mark.parametrize("has_ended", [False, True])
async def test_what_was_to_be_told_to_somebody_else_goes_while_it_is_pending(
    store: Store, pipeline: Any, make_draft: Any, has_ended: bool
) -> None:
    """An escalation tells what the user was told; one that has ended is a notification of whoever it went to."""
    escalation = Escalation("boss", 60.0, RoutePolicy())
    anns, bens = await store.ledger.accept(msgspec.structs.replace(make_draft("ann", "ben"), escalation=escalation))
    pipeline.clock.move(60)
    plans = {one.notification.terms.escalates: one for one in await pipeline.claim() if one.notification.user == "boss"}
    mine, other = plans[anns.id], plans[bens.id]
    if has_ended:
        await store.ledger.record([PlanDone(mine, finish=State.EXHAUSTED)], [])
    counts = await store.erasure.erase("ann")
    assert counts["notifications"] == (1 if has_ended else 2)
    assert await exists(store, mine.notification.id) == has_ended
    assert store.ledger.is_ended(mine.notification.id) or has_ended
    assert await exists(store, other.notification.id)
    late = Entry("live", Outcome.PUBLISHED, pipeline.after(0))
    await store.ledger.record([PlanDone(mine, (late,), tells=(anns.id, late))], [])
    assert await exists(store, mine.notification.id) == has_ended
    # And of an escalation to somebody who is erased, the one it belongs to knows nothing any more.
    assert (await store.erasure.erase("boss"))["notifications"] == (2 if has_ended else 1)
    assert await store.ledger.acknowledge(bens.id, "ben") is State.ACKNOWLEDGED


async def test_answers_under_keys_name_nobody(store: Store, make_draft: Any) -> None:
    first = await store.ledger.accept(make_draft("ann", "ben"), idempotency_key="k", fingerprint=b"1")
    await store.erasure.erase("ann")
    held = await store.ledger._database.read(  # type: ignore[attr-defined]  # (no port reads what is kept of an answer)
        lambda connection: connection.execute(select(IDEMPOTENCY_KEYS.c.answer)).scalar_one()
    )
    assert b"ann" not in held
    assert b"ben" not in held
    assert await store.ledger.accept(make_draft("ann", "ben"), idempotency_key="k", fingerprint=b"1") == first


async def test_answers_that_were_kept_with_users_are_given_as_they_are(store: Store, make_draft: Any) -> None:
    first = await store.ledger.accept(make_draft("ann", "ben"), idempotency_key="k", fingerprint=b"1")
    older = msgspec.json.encode([Accepted("ann", "id-1"), Accepted("ben", "id-2")])
    await store.ledger._database.write(  # type: ignore[attr-defined]
        lambda connection: connection.execute(update(IDEMPOTENCY_KEYS).values(answer=older))
    )
    again = await store.ledger.accept(make_draft("ann", "ben"), idempotency_key="k", fingerprint=b"1")
    assert again == (Accepted("ann", "id-1"), Accepted("ben", "id-2")) != first


async def test_a_delivery_under_way_leaves_nothing_behind(store: Store, pipeline: Any, make_draft: Any) -> None:
    device = await pipeline.register("ann")
    other = await pipeline.register("ben")
    (one, two) = await store.ledger.accept(make_draft("ann", "ben"))
    plans = {step.notification.user: step for step in await pipeline.claim()}
    done = [PlanDone(plans[user], sends=(NewSend(at, pipeline.after(0)),)) for user, at in (("ann", device), ("ben", other))]
    await store.ledger.record(done, [])
    sends = await pipeline.claim()
    assert [send.kind for send in sends] == [StepKind.SEND] * 2
    await store.erasure.erase("ann")
    assert store.ledger.is_ended(one.id)
    assert not store.ledger.is_ended(two.id)
    entry = Entry("push", Outcome.ACCEPTED, pipeline.after(0), "fcm", "tok…", "d", 1)
    await store.ledger.record([], [SendDone(send, entry, pipeline.after(0)) for send in sends])
    assert not await exists(store, one.id)
    assert [line.outcome for line in (await store.ledger.status(two.id)).entries] == [Outcome.ACCEPTED]


async def test_many_notifications_are_erased_in_pieces(store: Store, pipeline: Any, make_draft: Any) -> None:
    for _ in range(12):
        await store.ledger.accept(make_draft(*(["ann"] + [f"user-{number}" for number in range(5)])))
    for _ in range(600):
        await store.ledger.accept(make_draft("ann"))
    assert (await store.erasure.erase("ann"))["notifications"] == 612
