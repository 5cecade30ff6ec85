"""The ledger keeps what its port says, on every database."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from broker.devices import Registration
from broker.errors import BadInput, NotFound
from broker.ledger import Ask, NewSend, PlanDone, SendDone, Step, StepKind
from broker.notification import (
    Draft,
    Entry,
    Lane,
    Notification,
    NotificationStatus,
    Outcome,
    Preference,
    Provider,
    State,
)
from broker.store.store import Store
from config.clock import ManualClock

MakeDraft = Callable[..., Draft]


def outcomes(status: NotificationStatus) -> list[Outcome]:
    return [entry.outcome for entry in status.entries]


async def open_sends(pipeline: Any, *devices: Any) -> list[Step]:
    """Decide for one send per device, and take them all, in the order of `devices`."""
    plan = await pipeline.claim_one()
    sends = tuple(NewSend(device, pipeline.after(0)) for device in devices)
    await pipeline.ledger.record([PlanDone(plan, sends=sends)], [])
    steps = {step.device.id: step for step in await pipeline.claim()}
    return [steps[device.id] for device in devices]


def line(pipeline: Any, outcome: Outcome = Outcome.ACCEPTED, detail: str = "") -> Entry:
    return Entry("push", outcome, pipeline.after(0), "fcm", "tok…", "device-1", 2, detail)


class TestAccept:
    async def test_one_notification_per_user_in_their_order(self, pipeline: Any, make_draft: MakeDraft) -> None:
        accepted = await pipeline.ledger.accept(make_draft("zoe", "ann", "mia"))
        assert [one.user for one in accepted] == ["zoe", "ann", "mia"]
        assert len({one.id for one in accepted}) == 3
        for one in accepted:
            assert (await pipeline.ledger.status(one.id)).notification.user == one.user

    async def test_everything_of_the_draft_comes_back(self, pipeline: Any, make_draft: MakeDraft, clock: ManualClock) -> None:
        draft = make_draft("ann", lane=Lane.HIGH, ttl_s=0.5)
        (one,) = await pipeline.ledger.accept(draft)
        status = await pipeline.ledger.status(one.id)
        notification = status.notification
        assert bytes(notification.content.data) == b'{"gauge":7}'
        assert msgspec.structs.replace(notification.content, data=draft.content.data) == draft.content
        assert msgspec.structs.replace(notification, content=draft.content) == Notification(
            one.id,
            "ann",
            draft.content,
            Lane.HIGH,
            draft.routes,
            5.0,
            2.5,
            clock.now(),
            clock.now() + timedelta(seconds=0.5),
            State.PENDING,
            "request-1",
        )
        assert status.entries == ()

    async def test_each_has_one_plan_step_due_now(self, pipeline: Any, make_draft: MakeDraft) -> None:
        accepted = await pipeline.ledger.accept(make_draft("ann", "bob"))
        steps = await pipeline.claim()
        assert {step.kind for step in steps} == {StepKind.PLAN}
        assert {step.notification.id for step in steps} == {one.id for one in accepted}

    async def test_a_seen_key_stores_nothing_and_answers_the_first_ids(
        self, pipeline: Any, make_draft: MakeDraft
    ) -> None:  # N-6
        first = await pipeline.ledger.accept(make_draft("ann", "bob"), idempotency_key="k", fingerprint=b"f")
        again = await pipeline.ledger.accept(make_draft("ann", "bob"), idempotency_key="k", fingerprint=b"f")
        assert list(again) == list(first)
        assert len(await pipeline.claim()) == 2

    async def test_without_a_key_the_same_request_counts_again(self, pipeline: Any, make_draft: MakeDraft) -> None:
        assert await pipeline.ledger.accept(make_draft()) != await pipeline.ledger.accept(make_draft())

    async def test_a_seen_key_with_another_fingerprint_is_refused(self, pipeline: Any, make_draft: MakeDraft) -> None:  # N-6
        await pipeline.ledger.accept(make_draft("ann"), idempotency_key="k", fingerprint=b"f")
        with pytest.raises(BadInput) as refused:
            await pipeline.ledger.accept(make_draft("ann"), idempotency_key="k", fingerprint=b"g")
        assert refused.value.field == "idempotency_key"
        assert len(await pipeline.claim()) == 1

    async def test_a_key_is_forgotten_after_its_time_to_live(
        self, pipeline: Any, make_draft: MakeDraft, clock: ManualClock
    ) -> None:
        first = await pipeline.ledger.accept(make_draft(), idempotency_key="k", fingerprint=b"f")
        clock.move(3599)
        assert await pipeline.ledger.accept(make_draft(), idempotency_key="k", fingerprint=b"f") == first
        clock.move(1)
        second = await pipeline.ledger.accept(make_draft(), idempotency_key="k", fingerprint=b"g")
        assert second != first
        assert await pipeline.ledger.accept(make_draft(), idempotency_key="k", fingerprint=b"g") == second

    async def test_twins_at_the_same_time_get_the_same_answer(  # N-6
        self, store: Store, open_another: Callable[[], Awaitable[Store]], make_draft: MakeDraft, pipeline: Any
    ) -> None:
        ledgers = [store.ledger, (await open_another()).ledger] * 8
        answers = await asyncio.gather(
            *(ledger.accept(make_draft("ann", "bob"), idempotency_key="k", fingerprint=b"f") for ledger in ledgers)
        )
        assert {tuple(answer) for answer in answers} == {tuple(answers[0])}
        assert len(await pipeline.claim()) == 2

    async def test_one_callers_refusal_harms_no_other(
        self, pipeline: Any, make_draft: MakeDraft, together: Callable[..., Awaitable[list[Any]]]
    ) -> None:
        ledger = pipeline.ledger
        await ledger.accept(make_draft(), idempotency_key="k", fingerprint=b"f")
        answers = await together(
            ledger.accept(make_draft("a")),
            ledger.accept(make_draft("b"), idempotency_key="k", fingerprint=b"other"),
            ledger.accept(make_draft("c")),
            ledger.acknowledge("nothing", "ann"),
            ledger.accept(make_draft("d")),
        )
        assert [type(answer) for answer in answers if isinstance(answer, Exception)] == [BadInput, NotFound]
        assert {step.notification.user for step in await pipeline.claim()} == {"ann", "a", "c", "d"}

    @pytest.mark.parametrize("user", ["a\0b", "a\ud800", "u" * 1025], ids=["nul", "half a pair", "long"])
    async def test_a_name_that_cannot_be_kept_is_refused(self, pipeline: Any, make_draft: MakeDraft, user: str) -> None:
        with pytest.raises(BadInput) as refused:
            await pipeline.ledger.accept(make_draft("ann", user))
        assert refused.value.field == "user"
        with pytest.raises(BadInput) as refused:
            await pipeline.ledger.accept(make_draft("ann"), idempotency_key=user, fingerprint=b"f")
        assert refused.value.field == "idempotency_key"
        assert await pipeline.claim() == ()

    async def test_a_cancelled_caller_does_not_undo_it(
        self, pipeline: Any, make_draft: MakeDraft, open_another: Callable[[], Awaitable[Store]], pipeline_on: Any
    ) -> None:
        caller = asyncio.ensure_future(pipeline.ledger.accept(make_draft("ann")))
        await asyncio.sleep(0)
        caller.cancel()
        with pytest.raises(asyncio.CancelledError):
            await caller
        await pipeline.ledger.accept(make_draft("bob"))
        await pipeline.store.close()  # waits for what is under way
        later = pipeline_on(await open_another())
        assert {step.notification.user for step in await later.claim()} == {"ann", "bob"}


class TestAcknowledge:
    async def test_it_ends_all_steps_and_tells_so(self, pipeline: Any, make_draft: MakeDraft, clock: ManualClock) -> None:
        (one,) = await pipeline.ledger.accept(make_draft("ann"))
        clock.move(2)
        assert await pipeline.ledger.acknowledge(one.id, "ann") is State.ACKNOWLEDGED
        assert await pipeline.claim() == ()
        assert await pipeline.ledger.next_due() is None
        status = await pipeline.ledger.status(one.id)
        assert status.notification.state is State.ACKNOWLEDGED
        assert status.entries == (Entry("", Outcome.ACKNOWLEDGED, clock.now()),)

    async def test_it_ends_open_sends_too(self, pipeline: Any, make_draft: MakeDraft, clock: ManualClock) -> None:
        (one,) = await pipeline.ledger.accept(make_draft("ann"))
        await open_sends(pipeline, await pipeline.register(), await pipeline.register())
        await pipeline.ledger.acknowledge(one.id, "ann")
        clock.move(3600)
        assert await pipeline.claim() == ()

    async def test_again_is_no_error_and_changes_nothing(self, pipeline: Any, make_draft: MakeDraft) -> None:
        (one,) = await pipeline.ledger.accept(make_draft("ann"))
        await pipeline.ledger.acknowledge(one.id, "ann")
        before = await pipeline.ledger.status(one.id)
        assert await pipeline.ledger.acknowledge(one.id, "ann") is State.ACKNOWLEDGED
        assert outcomes(await pipeline.ledger.status(one.id)) == outcomes(before)

    @pytest.mark.parametrize("state", [State.EXHAUSTED, State.FAILED])
    async def test_a_late_one_is_still_told(self, pipeline: Any, make_draft: MakeDraft, state: State) -> None:
        (one,) = await pipeline.ledger.accept(make_draft("ann"))
        await pipeline.ledger.record([PlanDone(await pipeline.claim_one(), finish=state)], [])
        assert await pipeline.ledger.acknowledge(one.id, "ann") is State.ACKNOWLEDGED
        status = await pipeline.ledger.status(one.id)
        assert (status.notification.state, outcomes(status)) == (State.ACKNOWLEDGED, [Outcome.ACKNOWLEDGED])

    @pytest.mark.parametrize("state", [State.EXPIRED, State.CANCELLED])
    async def test_after_some_ends_it_changes_nothing(self, pipeline: Any, make_draft: MakeDraft, state: State) -> None:
        (one,) = await pipeline.ledger.accept(make_draft("ann"))
        await pipeline.ledger.record([PlanDone(await pipeline.claim_one(), finish=state)], [])
        assert await pipeline.ledger.acknowledge(one.id, "ann") is state
        status = await pipeline.ledger.status(one.id)
        assert (status.notification.state, outcomes(status)) == (state, [])

    @pytest.mark.parametrize("user", ["bob", "", "a\0nn", "ann\ud800"])
    async def test_another_users_is_not_found_and_untouched(self, pipeline: Any, make_draft: MakeDraft, user: str) -> None:
        (one,) = await pipeline.ledger.accept(make_draft("ann"))
        with pytest.raises(NotFound):
            await pipeline.ledger.acknowledge(one.id, user)
        assert (await pipeline.ledger.status(one.id)).notification.state is State.PENDING
        await pipeline.claim_one()

    @pytest.mark.parametrize("unknown", ["", "nothing", "a\0b", "x" * 5000])
    async def test_an_unknown_one_is_not_found(self, pipeline: Any, unknown: str) -> None:
        with pytest.raises(NotFound):
            await pipeline.ledger.acknowledge(unknown, "ann")
        with pytest.raises(NotFound):
            await pipeline.ledger.cancel(unknown)
        with pytest.raises(NotFound):
            await pipeline.ledger.status(unknown)


class TestCancel:
    async def test_it_ends_a_pending_one(self, pipeline: Any, make_draft: MakeDraft, clock: ManualClock) -> None:
        (one,) = await pipeline.ledger.accept(make_draft("ann"))
        assert await pipeline.ledger.cancel(one.id) is State.CANCELLED
        assert await pipeline.claim() == ()
        status = await pipeline.ledger.status(one.id)
        assert status.notification.state is State.CANCELLED
        assert status.entries == (Entry("", Outcome.CANCELLED, clock.now()),)

    @pytest.mark.parametrize("state", [State.EXHAUSTED, State.FAILED, State.EXPIRED])
    async def test_a_finished_one_stays_as_it_is(self, pipeline: Any, make_draft: MakeDraft, state: State) -> None:
        (one,) = await pipeline.ledger.accept(make_draft("ann"))
        await pipeline.ledger.record([PlanDone(await pipeline.claim_one(), finish=state)], [])
        assert await pipeline.ledger.cancel(one.id) is state
        assert outcomes(await pipeline.ledger.status(one.id)) == []

    async def test_an_acknowledged_one_stays_acknowledged(self, pipeline: Any, make_draft: MakeDraft) -> None:
        (one,) = await pipeline.ledger.accept(make_draft("ann"))
        await pipeline.ledger.acknowledge(one.id, "ann")
        assert await pipeline.ledger.cancel(one.id) is State.ACKNOWLEDGED

    async def test_it_ends_no_other(self, pipeline: Any, make_draft: MakeDraft) -> None:
        one, other = await pipeline.ledger.accept(make_draft("ann", "ann"))
        await pipeline.ledger.cancel(one.id)
        assert (await pipeline.claim_one()).notification.id == other.id


class TestClaim:
    async def test_lanes_go_in_order_of_priority_each_by_its_quota(self, pipeline: Any, make_draft: MakeDraft) -> None:
        for lane in (Lane.BULK, Lane.NORMAL, Lane.CRITICAL, Lane.HIGH):
            await pipeline.ledger.accept(make_draft("a", "b", "c", lane=lane))
        quotas = {Lane.BULK: 1, Lane.CRITICAL: 5, Lane.HIGH: 0, Lane.NORMAL: 2}
        steps = await pipeline.ledger.claim("w1", quotas, lease_until=pipeline.after(30))
        lanes = [step.notification.lane for step in steps]
        assert lanes == [*[Lane.CRITICAL] * 3, *[Lane.NORMAL] * 2, Lane.BULK]

    async def test_the_longest_due_go_first(self, pipeline: Any, make_draft: MakeDraft, clock: ManualClock) -> None:
        for user in ("first", "second", "third"):
            await pipeline.ledger.accept(make_draft(user))
            clock.move(1)
        assert [step.notification.user for step in await pipeline.claim(2)] == ["first", "second"]
        assert [step.notification.user for step in await pipeline.claim(2)] == ["third"]

    async def test_what_is_not_due_yet_is_left_alone(self, pipeline: Any, make_draft: MakeDraft, clock: ManualClock) -> None:
        await pipeline.ledger.accept(make_draft())
        await pipeline.ledger.record([PlanDone(await pipeline.claim_one(), next_plan_at=pipeline.after(10))], [])
        clock.move(9.999)
        assert await pipeline.claim() == ()
        clock.move(0.001)
        await pipeline.claim_one()

    async def test_a_plan_brings_devices_preferences_and_the_timeline(self, pipeline: Any, make_draft: MakeDraft) -> None:
        old, new = await pipeline.register(), await pipeline.register()
        await pipeline.register("bob")
        words = (Preference("*", "email", False), Preference("water", "*", True))
        await pipeline.store.preferences.set("ann", words)
        await pipeline.store.preferences.set("bob", words[:1])
        await pipeline.ledger.accept(make_draft("ann"))
        entries = tuple(line(pipeline, outcome) for outcome in (Outcome.OFFLINE, Outcome.MUTED, Outcome.ACCEPTED))
        done = PlanDone(await pipeline.claim_one(), entries=entries, next_plan_at=pipeline.after(0))
        await pipeline.ledger.record([done], [])
        step = await pipeline.claim_one()
        assert (step.device, step.devices, step.preferences, step.entries) == (None, (old, new), words, entries)

    async def test_a_send_brings_its_device_and_nothing_else(self, pipeline: Any, make_draft: MakeDraft) -> None:
        devices = [await pipeline.register(), await pipeline.register()]
        (one,) = await pipeline.ledger.accept(make_draft("ann"))
        sends = await open_sends(pipeline, *devices)
        assert [send.device for send in sends] == devices
        assert {(send.kind, send.devices, send.preferences, send.entries) for send in sends} == {(StepKind.SEND, (), (), ())}
        assert {send.notification.id for send in sends} == {one.id}
        assert len({send.id for send in sends}) == 2

    async def test_a_removed_device_comes_as_none(self, pipeline: Any, make_draft: MakeDraft) -> None:
        device = await pipeline.register()
        await pipeline.ledger.accept(make_draft("ann"))
        plan = await pipeline.claim_one()
        await pipeline.ledger.record([PlanDone(plan, sends=(NewSend(device, pipeline.after(0)),))], [])
        await pipeline.store.devices.remove("ann", device.id)
        assert (await pipeline.claim_one(StepKind.SEND)).device is None

    async def test_a_device_that_moved_to_another_user_comes_as_none(self, pipeline: Any, make_draft: MakeDraft) -> None:
        device = await pipeline.register("ann")
        await pipeline.ledger.accept(make_draft("ann"))
        plan = await pipeline.claim_one()
        await pipeline.ledger.record([PlanDone(plan, sends=(NewSend(device, pipeline.after(0)),))], [])
        await pipeline.store.devices.register(Registration("bob", device.provider, device.token, "android"))
        assert (await pipeline.claim_one(StepKind.SEND)).device is None

    async def test_a_lease_that_ran_out_is_taken_over_with_the_attempt_raised(
        self, pipeline: Any, make_draft: MakeDraft, clock: ManualClock
    ) -> None:
        await pipeline.ledger.accept(make_draft())
        first = await pipeline.claim_one()
        clock.move(29.999)
        assert await pipeline.claim(worker="w2") == ()
        clock.move(0.001)
        second = await pipeline.claim_one(worker="w2")
        assert (first.id, first.attempt, second.id, second.attempt) == (second.id, 1, first.id, 2)
        assert first.lease != second.lease

    async def test_steps_of_one_claim_never_overlap_anothers(
        self, store: Store, open_another: Callable[[], Awaitable[Store]], pipeline_on: Any, make_draft: MakeDraft
    ) -> None:
        await store.ledger.accept(make_draft(*(f"user-{number}" for number in range(300))))
        workers = [pipeline_on(store), pipeline_on(await open_another())]
        claims = await asyncio.gather(*(workers[number % 2].claim(50, worker=f"w{number}") for number in range(6)))
        claimed = [step.id for steps in claims for step in steps]
        assert len(claimed) == len(set(claimed))
        rest = [step.id for step in await workers[0].claim(300)]
        assert len({*claimed, *rest}) == len(claimed) + len(rest) == 300

    async def test_sends_of_a_paused_provider_are_left_alone_until_they_expire(  # N-12
        self, pipeline: Any, make_draft: MakeDraft, clock: ManualClock
    ) -> None:
        fcm, apns = await pipeline.register(), await pipeline.register(provider=Provider.APNS)
        await pipeline.ledger.accept(make_draft("ann", ttl_s=100))
        plan = await pipeline.claim_one()
        sends = tuple(NewSend(device, pipeline.after(0)) for device in (fcm, apns))
        await pipeline.ledger.record([PlanDone(plan, sends=sends)], [])
        paused = frozenset({Provider.FCM, Provider.EMAIL})
        assert (await pipeline.claim_one(StepKind.SEND, paused=paused)).device == apns
        assert await pipeline.claim(paused=paused) == ()
        clock.move(100)
        assert {step.device for step in await pipeline.claim(paused=paused)} == {fcm, apns}

    async def test_plans_are_never_paused(self, pipeline: Any, make_draft: MakeDraft) -> None:
        await pipeline.ledger.accept(make_draft())
        await pipeline.claim_one(paused=frozenset(Provider))


class TestRecordPlan:
    async def test_finish_ends_the_notification(self, pipeline: Any, make_draft: MakeDraft, clock: ManualClock) -> None:
        (one,) = await pipeline.ledger.accept(make_draft("ann"))
        entry = line(pipeline, Outcome.REFUSED)
        done = PlanDone(await pipeline.claim_one(), entries=(entry,), finish=State.FAILED)
        await pipeline.ledger.record([done], [])
        status = await pipeline.ledger.status(one.id)
        assert (status.notification.state, status.entries) == (State.FAILED, (entry,))
        assert await pipeline.ledger.next_due() is None
        clock.move(3600)
        assert await pipeline.claim() == ()

    async def test_the_plan_rests_while_sends_are_open_and_the_last_one_wakes_it(
        self, pipeline: Any, make_draft: MakeDraft, clock: ManualClock
    ) -> None:
        await pipeline.ledger.accept(make_draft("ann"))
        first, second = await open_sends(pipeline, await pipeline.register(), await pipeline.register())
        await pipeline.ledger.record([], [SendDone(first, line(pipeline), replan_at=pipeline.after(1))])
        clock.move(20)
        assert await pipeline.claim() == ()
        await pipeline.ledger.record([], [SendDone(second, line(pipeline), replan_at=pipeline.after(3))])
        assert await pipeline.ledger.next_due() == pipeline.after(3)
        clock.move(3)
        plan = await pipeline.claim_one()
        assert (plan.attempt, [entry.outcome for entry in plan.entries]) == (1, [Outcome.ACCEPTED] * 2)

    async def test_two_last_sends_in_one_record_wake_it_once(self, pipeline: Any, make_draft: MakeDraft) -> None:
        await pipeline.ledger.accept(make_draft("ann"))
        sends = await open_sends(pipeline, await pipeline.register(), await pipeline.register())
        await pipeline.ledger.record([], [SendDone(send, None, replan_at=pipeline.after(0)) for send in sends])
        await pipeline.claim_one()

    async def test_two_last_sends_recorded_at_the_same_time_wake_it(
        self, store: Store, open_another: Callable[[], Awaitable[Store]], pipeline: Any, make_draft: MakeDraft
    ) -> None:
        ledgers = [store.ledger, (await open_another()).ledger]
        devices = [await pipeline.register(), await pipeline.register()]
        for _ in range(10):
            await pipeline.ledger.accept(make_draft("ann"))
            sends = await open_sends(pipeline, *devices)
            records = [SendDone(send, None, replan_at=pipeline.after(0)) for send in sends]
            await asyncio.gather(*(ledger.record([], [done]) for ledger, done in zip(ledgers, records, strict=True)))
            await pipeline.ledger.record([PlanDone(await pipeline.claim_one(), finish=State.EXHAUSTED)], [])

    async def test_sends_are_due_at_their_own_time(self, pipeline: Any, make_draft: MakeDraft, clock: ManualClock) -> None:
        now, later = await pipeline.register(), await pipeline.register()
        await pipeline.ledger.accept(make_draft("ann"))
        sends = (NewSend(now, pipeline.after(0)), NewSend(later, pipeline.after(7)))
        await pipeline.ledger.record([PlanDone(await pipeline.claim_one(), sends=sends)], [])
        assert (await pipeline.claim_one(StepKind.SEND)).device == now
        clock.move(7)
        assert (await pipeline.claim_one(StepKind.SEND)).device == later

    async def test_a_device_that_is_named_twice_is_reached_once(self, pipeline: Any, make_draft: MakeDraft) -> None:
        device = await pipeline.register()
        await pipeline.ledger.accept(make_draft("ann"))
        sends = (NewSend(device, pipeline.after(0)),) * 2
        await pipeline.ledger.record([PlanDone(await pipeline.claim_one(), sends=sends)], [])
        await pipeline.claim_one(StepKind.SEND)

    async def test_each_decision_counts_its_attempts_anew(
        self, pipeline: Any, make_draft: MakeDraft, clock: ManualClock
    ) -> None:
        await pipeline.ledger.accept(make_draft())
        await pipeline.claim_one()
        clock.move(30)
        second = await pipeline.claim_one()
        assert second.attempt == 2
        await pipeline.ledger.record([PlanDone(second, next_plan_at=pipeline.after(0))], [])
        assert (await pipeline.claim_one()).attempt == 1

    async def test_a_stale_plan_writes_its_lines_only(self, pipeline: Any, make_draft: MakeDraft) -> None:
        (one,) = await pipeline.ledger.accept(make_draft("ann"))
        device = await pipeline.register()
        plan = await pipeline.claim_one()
        await pipeline.ledger.acknowledge(one.id, "ann")
        entry = line(pipeline, Outcome.PUBLISHED)
        send = NewSend(device, pipeline.after(0))
        await pipeline.ledger.record(
            [
                PlanDone(plan, entries=(entry,), finish=State.EXHAUSTED),
                PlanDone(plan, sends=(send,)),
                PlanDone(plan, next_plan_at=pipeline.after(0)),
            ],
            [],
        )
        status = await pipeline.ledger.status(one.id)
        assert status.notification.state is State.ACKNOWLEDGED
        assert sorted(outcomes(status)) == [Outcome.ACKNOWLEDGED, Outcome.PUBLISHED]
        assert await pipeline.claim() == ()

    async def test_a_plan_that_was_taken_over_belongs_to_the_new_holder(
        self, pipeline: Any, make_draft: MakeDraft, clock: ManualClock
    ) -> None:
        (one,) = await pipeline.ledger.accept(make_draft("ann"))
        stale = await pipeline.claim_one()
        clock.move(30)
        current = await pipeline.claim_one()
        await pipeline.ledger.record([PlanDone(stale, finish=State.FAILED)], [])
        assert (await pipeline.ledger.status(one.id)).notification.state is State.PENDING
        await pipeline.ledger.record([PlanDone(current, finish=State.EXHAUSTED)], [])
        assert (await pipeline.ledger.status(one.id)).notification.state is State.EXHAUSTED

    async def test_a_lease_that_ran_out_but_was_not_taken_over_still_counts(
        self, pipeline: Any, make_draft: MakeDraft, clock: ManualClock
    ) -> None:
        (one,) = await pipeline.ledger.accept(make_draft("ann"))
        plan = await pipeline.claim_one()
        clock.move(300)
        await pipeline.ledger.record([PlanDone(plan, finish=State.FAILED)], [])
        assert (await pipeline.ledger.status(one.id)).notification.state is State.FAILED

    async def test_nothing_to_record_is_no_error(self, pipeline: Any) -> None:
        await pipeline.ledger.record([], [])


class TestRecordSend:
    async def test_a_retry_stays_and_counts(self, pipeline: Any, make_draft: MakeDraft, clock: ManualClock) -> None:
        (one,) = await pipeline.ledger.accept(make_draft("ann"))
        (send,) = await open_sends(pipeline, await pipeline.register())
        entry = line(pipeline, Outcome.RETRY, "503")
        done = SendDone(send, entry, replan_at=pipeline.after(0), retry_at=pipeline.after(2))
        await pipeline.ledger.record([], [done])
        assert await pipeline.claim() == ()
        clock.move(2)
        again = await pipeline.claim_one(StepKind.SEND)
        assert (again.id, again.attempt, again.device) == (send.id, 2, send.device)
        assert (await pipeline.ledger.status(one.id)).entries == (entry,)

    async def test_one_that_was_put_off_gives_its_attempt_back_and_writes_no_line(
        self, pipeline: Any, make_draft: MakeDraft
    ) -> None:
        (one,) = await pipeline.ledger.accept(make_draft("ann"))
        (send,) = await open_sends(pipeline, await pipeline.register())
        for _ in range(3):
            done = SendDone(send, None, replan_at=pipeline.after(0), retry_at=pipeline.after(0), counts=False)
            await pipeline.ledger.record([], [done])
            send = await pipeline.claim_one(StepKind.SEND)
            assert send.attempt == 1
        assert (await pipeline.ledger.status(one.id)).entries == ()

    async def test_a_retry_keeps_the_plan_at_rest(self, pipeline: Any, make_draft: MakeDraft, clock: ManualClock) -> None:
        await pipeline.ledger.accept(make_draft("ann"))
        first, second = await open_sends(pipeline, await pipeline.register(), await pipeline.register())
        retry = SendDone(first, None, replan_at=pipeline.after(0), retry_at=pipeline.after(5))
        await pipeline.ledger.record([], [retry, SendDone(second, None, replan_at=pipeline.after(0))])
        clock.move(5)
        assert (await pipeline.claim_one(StepKind.SEND)).id == first.id

    async def test_dropping_removes_the_device(self, pipeline: Any, make_draft: MakeDraft) -> None:
        dead, alive = await pipeline.register(), await pipeline.register()
        await pipeline.ledger.accept(make_draft("ann"))
        (send,) = await open_sends(pipeline, dead)
        entry = line(pipeline, Outcome.UNREGISTERED)
        done = SendDone(send, entry, replan_at=pipeline.after(0), drop_device=dead.registered_at)
        await pipeline.ledger.record([], [done])
        assert list(await pipeline.store.devices.of_user("ann")) == [alive]

    async def test_a_device_that_was_registered_again_since_stays(  # N-25
        self, pipeline: Any, make_draft: MakeDraft, clock: ManualClock
    ) -> None:
        device = await pipeline.register()
        await pipeline.ledger.accept(make_draft("ann"))
        (send,) = await open_sends(pipeline, device)
        gone_since = pipeline.after(1)
        clock.move(1.000001)
        renewed = await pipeline.store.devices.register(Registration("ann", device.provider, device.token, "android"))
        await pipeline.ledger.record([], [SendDone(send, None, replan_at=pipeline.after(0), drop_device=gone_since)])
        assert list(await pipeline.store.devices.of_user("ann")) == [renewed]

    async def test_a_stale_send_writes_its_line_only(
        self, pipeline: Any, make_draft: MakeDraft, clock: ManualClock
    ) -> None:  # N-3, N-27
        (one,) = await pipeline.ledger.accept(make_draft("ann"))
        device = await pipeline.register()
        (stale,) = await open_sends(pipeline, device)
        clock.move(30)
        current = await pipeline.claim_one(StepKind.SEND)
        entry = line(pipeline, Outcome.UNREGISTERED)
        done = SendDone(stale, entry, replan_at=pipeline.after(0), drop_device=pipeline.after(0))
        await pipeline.ledger.record([], [done])
        assert (await pipeline.ledger.status(one.id)).entries == (entry,)
        assert list(await pipeline.store.devices.of_user("ann")) == [device]
        assert await pipeline.claim() == ()
        await pipeline.ledger.record([], [SendDone(current, None, replan_at=pipeline.after(0))])
        await pipeline.claim_one()

    async def test_the_same_record_twice_counts_once(self, pipeline: Any, make_draft: MakeDraft) -> None:
        await pipeline.ledger.accept(make_draft("ann"))
        first, second = await open_sends(pipeline, await pipeline.register(), await pipeline.register())
        done = SendDone(first, None, replan_at=pipeline.after(0))
        await pipeline.ledger.record([], [done, done])
        await pipeline.ledger.record([], [done])
        assert await pipeline.claim() == ()
        await pipeline.ledger.record([], [SendDone(second, None, replan_at=pipeline.after(0))])
        await pipeline.claim_one()

    async def test_a_send_after_the_ack_writes_its_line_after_it(self, pipeline: Any, make_draft: MakeDraft) -> None:
        (one,) = await pipeline.ledger.accept(make_draft("ann"))
        (send,) = await open_sends(pipeline, await pipeline.register())
        await pipeline.ledger.acknowledge(one.id, "ann")
        await pipeline.ledger.record([], [SendDone(send, line(pipeline), replan_at=pipeline.after(0))])
        status = await pipeline.ledger.status(one.id)
        assert (status.notification.state, outcomes(status)) == (
            State.ACKNOWLEDGED,
            [Outcome.ACKNOWLEDGED, Outcome.ACCEPTED],
        )
        assert await pipeline.claim() == ()

    async def test_what_a_provider_said_is_kept_without_what_no_text_may_hold(
        self, pipeline: Any, make_draft: MakeDraft
    ) -> None:
        (one,) = await pipeline.ledger.accept(make_draft("ann"))
        (send,) = await open_sends(pipeline, await pipeline.register())
        entry = line(pipeline, detail='no "such\0 token"\n\\u0000 \x1f é 字 🌊')
        await pipeline.ledger.record([], [SendDone(send, entry, replan_at=pipeline.after(0))])
        (kept,) = (await pipeline.ledger.status(one.id)).entries
        assert kept.detail == 'no "such token"\n\\u0000 \x1f é 字 🌊'


class TestLeases:
    async def test_renewing_holds_longer(self, pipeline: Any, make_draft: MakeDraft, clock: ManualClock) -> None:
        await pipeline.ledger.accept(make_draft("ann", "bob"))
        steps = await pipeline.claim()
        await pipeline.ledger.renew(steps, lease_until=pipeline.after(45))
        clock.move(44)
        assert await pipeline.claim(worker="w2") == ()
        clock.move(1)
        assert [step.attempt for step in await pipeline.claim(worker="w2")] == [2, 2]

    async def test_renewing_passes_stale_leases_over(self, pipeline: Any, make_draft: MakeDraft, clock: ManualClock) -> None:
        taken, ended, held = await pipeline.ledger.accept(make_draft("a", "b", "c"))
        steps = {step.notification.id: step for step in await pipeline.claim()}
        clock.move(30)
        (over,) = await pipeline.claim(1, worker="w2")
        stale = steps[over.notification.id]
        await pipeline.ledger.cancel(next(one.id for one in (taken, ended, held) if one.id != over.notification.id))
        await pipeline.ledger.renew([*steps.values()], lease_until=pipeline.after(1000))
        assert await pipeline.ledger.next_due() == pipeline.after(30)
        await pipeline.ledger.renew([stale], lease_until=pipeline.after(500))
        assert await pipeline.ledger.next_due() == pipeline.after(30)

    async def test_releasing_gives_a_workers_steps_back(self, pipeline: Any, make_draft: MakeDraft) -> None:  # N-34
        await pipeline.ledger.accept(make_draft("ann", "bob", "mia"))
        mine = await pipeline.claim(2, worker="w1")
        (other,) = await pipeline.claim(worker="w2")
        await pipeline.ledger.release("w1")
        again = await pipeline.claim(worker="w3")
        assert {step.id for step in again} == {step.id for step in mine}
        assert {step.attempt for step in again} == {1}
        await pipeline.ledger.record([PlanDone(other, finish=State.FAILED)], [])
        assert (await pipeline.ledger.status(other.notification.id)).notification.state is State.FAILED

    async def test_a_released_step_is_no_longer_its_workers(self, pipeline: Any, make_draft: MakeDraft) -> None:
        (one,) = await pipeline.ledger.accept(make_draft("ann"))
        plan = await pipeline.claim_one()
        await pipeline.ledger.release("w1")
        await pipeline.ledger.record([PlanDone(plan, finish=State.FAILED)], [])
        assert (await pipeline.ledger.status(one.id)).notification.state is State.PENDING

    async def test_next_due_is_the_earliest_step_or_end_of_a_lease(
        self, pipeline: Any, make_draft: MakeDraft, clock: ManualClock
    ) -> None:
        assert await pipeline.ledger.next_due() is None
        await pipeline.ledger.accept(make_draft("ann", lane=Lane.BULK))
        assert await pipeline.ledger.next_due() == clock.now()
        plan = await pipeline.claim_one()
        assert await pipeline.ledger.next_due() == pipeline.after(30)
        await pipeline.ledger.record([PlanDone(plan, next_plan_at=pipeline.after(0.000007))], [])
        assert await pipeline.ledger.next_due() == pipeline.after(0.000007)
        await pipeline.ledger.accept(make_draft("bob", lane=Lane.CRITICAL))
        assert await pipeline.ledger.next_due() == clock.now()

    async def test_next_due_leaves_sends_of_paused_providers_out(self, pipeline: Any, make_draft: MakeDraft) -> None:
        device = await pipeline.register()
        await pipeline.ledger.accept(make_draft("ann"))
        plan = await pipeline.claim_one()
        await pipeline.ledger.record([PlanDone(plan, sends=(NewSend(device, pipeline.after(4)),))], [])
        assert await pipeline.ledger.next_due(paused=frozenset({Provider.APNS})) == pipeline.after(4)
        assert await pipeline.ledger.next_due(paused=frozenset({Provider.FCM})) is None


class TestWaking:
    @pytest.fixture
    def woken(self, pipeline: Any) -> list[int]:
        times: list[int] = []
        pipeline.ledger.on_work(lambda: times.append(1))
        return times

    async def test_what_makes_a_step_due_now_wakes(self, pipeline: Any, make_draft: MakeDraft, woken: list[int]) -> None:
        device = await pipeline.register()
        await pipeline.ledger.accept(make_draft("ann"))
        assert len(woken) == 1
        plan = await pipeline.claim_one()
        await pipeline.ledger.record([PlanDone(plan, sends=(NewSend(device, pipeline.after(0)),))], [])
        assert len(woken) == 2
        send = await pipeline.claim_one(StepKind.SEND)
        await pipeline.ledger.record([], [SendDone(send, None, replan_at=pipeline.after(0))])
        assert len(woken) == 3
        await pipeline.claim_one()
        await pipeline.ledger.release("w1")
        assert len(woken) == 4

    async def test_nothing_else_does(self, pipeline: Any, make_draft: MakeDraft, woken: list[int]) -> None:
        device = await pipeline.register()
        acked, cancelled, finished, planned = await pipeline.ledger.accept(make_draft(*["ann"] * 4))
        plans = {step.notification.id: step for step in await pipeline.claim()}
        woken.clear()
        await pipeline.ledger.acknowledge(acked.id, "ann")
        await pipeline.ledger.cancel(cancelled.id)
        sends = (NewSend(device, pipeline.after(9)),)
        done = [PlanDone(plans[finished.id], finish=State.FAILED), PlanDone(plans[planned.id], sends=sends)]
        await pipeline.ledger.record(done, [])
        await pipeline.ledger.renew([*plans.values()], lease_until=pipeline.after(60))
        await pipeline.ledger.release("nobody")
        assert await pipeline.claim() == ()
        assert woken == []

    async def test_a_seen_end_is_remembered(self, pipeline: Any, make_draft: MakeDraft) -> None:
        acked, cancelled, finished, open_one = await pipeline.ledger.accept(make_draft("a", "b", "c", "d"))
        await pipeline.ledger.acknowledge(acked.id, "a")
        await pipeline.ledger.cancel(cancelled.id)
        plans = {step.notification.id: step for step in await pipeline.claim()}
        await pipeline.ledger.record([PlanDone(plans[finished.id], finish=State.EXHAUSTED)], [])
        ids = (acked.id, cancelled.id, finished.id, open_one.id)
        assert [pipeline.ledger.is_ended(one) for one in ids] == [True, True, True, False]


class TestStoredAndClaimed:
    """What is critical is claimed in the transaction that stores it, for whoever asks for it."""

    @pytest.fixture
    def taken(self, pipeline: Any) -> list[Step]:
        steps: list[Step] = []
        self.quota = 10
        self.told: list[int] = []

        def asks() -> Ask | None:
            return Ask("w1", self.quota, pipeline.after(30)) if self.quota else None

        def take(more: Sequence[Step]) -> bool:
            steps.extend(more)
            self.told.append(len(more))
            return self.takes

        self.takes = True
        pipeline.ledger.on_critical(asks, take)
        return steps

    async def test_a_critical_one_comes_with_its_lease(self, pipeline: Any, make_draft: MakeDraft, taken: list[Step]) -> None:
        await pipeline.register()
        (one,) = await pipeline.ledger.accept(make_draft("ann", lane=Lane.CRITICAL))
        (plan,) = taken
        assert (plan.notification.id, plan.kind, plan.attempt, len(plan.devices)) == (one.id, StepKind.PLAN, 1, 1)
        assert await pipeline.claim() == ()
        await pipeline.ledger.record([PlanDone(plan, finish=State.FAILED)], [])
        assert (await pipeline.ledger.status(one.id)).notification.state is State.FAILED

    async def test_its_lease_runs_out_and_is_released_as_any_other(
        self, pipeline: Any, make_draft: MakeDraft, clock: ManualClock, taken: list[Step]
    ) -> None:
        await pipeline.ledger.accept(make_draft("ann", "bob", lane=Lane.CRITICAL))
        assert len(taken) == 2
        clock.move(31)
        assert [step.attempt for step in await pipeline.claim()] == [2, 2]
        await pipeline.ledger.accept(make_draft("mia", lane=Lane.CRITICAL))
        assert len(taken) == 3
        assert await pipeline.claim() == ()
        await pipeline.ledger.release("w1")
        assert "mia" in {step.notification.user for step in await pipeline.claim()}

    async def test_others_are_not_and_neither_is_what_nobody_asks_for(
        self, pipeline: Any, make_draft: MakeDraft, taken: list[Step]
    ) -> None:
        woken: list[int] = []
        pipeline.ledger.on_work(lambda: woken.append(1))
        await pipeline.ledger.accept(make_draft("ann", lane=Lane.HIGH))
        self.quota = 0
        await pipeline.ledger.accept(make_draft("ann", lane=Lane.CRITICAL))
        assert (taken, len(woken)) == ([], 2)
        assert len(await pipeline.claim()) == 2

    async def test_who_waits_for_work_is_woken_for_what_is_left(
        self, pipeline: Any, make_draft: MakeDraft, taken: list[Step]
    ) -> None:
        woken: list[int] = []
        pipeline.ledger.on_work(lambda: woken.append(1))
        await pipeline.ledger.accept(make_draft("ann", lane=Lane.CRITICAL))
        assert not woken
        self.quota = 2
        await pipeline.ledger.accept(make_draft(*"abc", lane=Lane.CRITICAL))
        assert len(woken) == 1
        assert len(taken) == 3
        assert len(await pipeline.claim()) == 1

    async def test_a_request_that_is_repeated_or_refused_begins_nothing(
        self, pipeline: Any, make_draft: MakeDraft, taken: list[Step]
    ) -> None:
        for _ in range(2):
            await pipeline.ledger.accept(make_draft("ann", lane=Lane.CRITICAL), idempotency_key="k", fingerprint=b"1")
        with pytest.raises(BadInput):
            await pipeline.ledger.accept(make_draft("bob", lane=Lane.CRITICAL), idempotency_key="k", fingerprint=b"2")
        assert [step.notification.user for step in taken] == ["ann"]
        assert self.told == [1, 0, 0]  # whoever asked is told that there is nothing, too

    async def test_older_ones_wait_to_be_claimed(self, pipeline: Any, make_draft: MakeDraft, taken: list[Step]) -> None:
        self.quota = 0
        await pipeline.ledger.accept(make_draft("ann", lane=Lane.CRITICAL))
        self.quota = 10
        await pipeline.ledger.accept(make_draft("bob", lane=Lane.CRITICAL))
        assert [step.notification.user for step in taken] == ["bob"]

    async def test_what_nobody_takes_any_more_is_given_back_as_it_was(
        self, pipeline: Any, make_draft: MakeDraft, taken: list[Step]
    ) -> None:
        woken = asyncio.Event()
        pipeline.ledger.on_work(woken.set)
        self.takes = False
        await pipeline.ledger.accept(make_draft("ann", "bob", lane=Lane.CRITICAL))
        async with asyncio.timeout(30):
            await woken.wait()
        assert sorted((step.notification.user, step.attempt) for step in await pipeline.claim()) == [("ann", 1), ("bob", 1)]
