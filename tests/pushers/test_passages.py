"""Deliveries under the lease of their plan: one claim and one record where all goes well, and nothing lost where not."""

import asyncio
from datetime import timedelta

import pytest

from broker.errors import StoreUnavailable
from broker.ledger import NewSend, PlanDone, SendDone, send_of
from broker.notification import Entry, Lane, Outcome, Provider, Route, State
from config.category_settings import CapSettings
from config.settings import NotificationSettings
from pushers.leases import Held
from pushers.outcome import DropDevice, Retry
from pushers.passages import LINGER_S, LONGEST_S, Passages, next_step

PUSH = (Route.PUSH,)


@pytest.fixture
def hall(clock):
    held, rung = Held(), []
    passages = Passages(held, clock, few=1, on_few=lambda: rung.append(len(passages)))
    return held, passages, rung


def decided(step, clock, *devices, id="n-1", notification=None, **more):
    plan = step(notification, id=id, attempt=3, devices=devices)
    return PlanDone(plan, sends=tuple(NewSend(one, clock.now()) for one in devices), **more)


def ended(send, clock, outcome=Outcome.ACCEPTED, **more):
    return SendDone(send, Entry("push", outcome, clock.now(), device_id=send.device.id), clock.now(), **more)


class TestBook:
    def test_a_passage_is_through_with_its_last_delivery(self, hall, step, device, clock):
        held, passages, _ = hall
        plan = decided(step, clock, device(id="d-1"), device(id="d-2"))
        first, second = passages.begin(plan)
        assert (first.attempt, first.lease) == (3, plan.step.lease)
        assert passages.take(ended(first, clock))
        assert (passages.take_through(), len(passages)) == ([], 1)
        assert passages.take(ended(second, clock))
        (through,) = passages.take_through()
        assert [done.step.device.id for done in through.made] == ["d-1", "d-2"]
        assert (through.under_way, len(passages), len(held)) == ((), 0, 0)
        assert not passages.take(ended(second, clock)), "and what comes again is none of its business"

    def test_what_lingers_is_given_out_as_it_stands(self, hall, step, device, clock):
        _, passages, _ = hall
        first, second = passages.begin(decided(step, clock, device(id="d-1"), device(id="d-2")))
        passages.take(ended(first, clock))
        clock.move(LINGER_S - 0.01)
        assert passages.take_lingering() == []
        clock.move(0.01)
        (lingering,) = passages.take_lingering()
        assert [done.step for done in lingering.made] == [first]
        assert lingering.under_way == (second,)
        assert not passages.take(ended(second, clock)), "it is recorded by itself from now on"

    def test_what_has_nothing_to_tell_waits_longer_as_long_as_it_is_held(self, hall, step, device, notification, clock):
        held, passages, _ = hall
        plans = [
            decided(step, clock, device(), id=name, notification=notification(id=name), **more)
            for name, more in (("a", {}), ("b", {}), ("c", {"arrives": True}))
        ]
        first, second, third = (passages.begin(plan)[0] for plan in plans)
        held.drop(second)  # as when its notification was acknowledged
        clock.move(LINGER_S)
        assert [one.under_way for one in passages.take_lingering()] == [(second,), (third,)]
        clock.move(LONGEST_S - LINGER_S - 0.01)
        assert passages.take_lingering() == []
        clock.move(LINGER_S)
        assert [one.under_way for one in passages.take_lingering()] == [(first,)]
        assert len(passages) == 0

    def test_a_device_that_is_under_way_already_begins_nothing(self, hall, step, device, clock):
        held, passages, _ = hall
        plan = decided(step, clock, device(id="d-1"), device(id="d-2"))
        held.take(send_of(plan.step, device(id="d-2")))
        assert passages.begin(plan) == ()
        assert (len(passages), len(held)) == (0, 1)

    def test_few_are_told_of_once(self, hall, step, device, notification, clock):
        _, passages, rung = hall
        sends = [
            passages.begin(decided(step, clock, device(), id=name, notification=notification(id=name)))[0] for name in "abc"
        ]
        assert passages.are_many
        for send in sends:
            passages.take(ended(send, clock))
        assert rung == [1]

    def test_at_the_end_only_what_was_made_is_told(self, hall, step, device, notification, clock):
        held, passages, _ = hall
        for name in "ab":
            plan = decided(step, clock, device(id="d-1"), device(id="d-2"), id=name, notification=notification(id=name))
            held.take(plan.step)
            sends = passages.begin(plan)
        passages.take(ended(sends[0], clock))
        (told,) = passages.give_up()
        assert (told.plan.step.id, len(told.made), len(told.under_way)) == ("b", 1, 1)
        assert "a" not in held


class TestNextStep:
    def test_it_knows_what_was_written_meanwhile(self, hall, step, device, clock):
        _, passages, _ = hall
        plan = decided(step, clock, device(id="d-1"), device(id="d-2"))
        first, second = passages.begin(plan)
        passages.take(ended(first, clock))
        passages.take(ended(second, clock, Outcome.UNREGISTERED, drop_device=clock.now()))
        following = next_step(passages.take_through()[0])
        assert [entry.outcome for entry in following.entries] == ["accepted", "unregistered"]
        assert [one.id for one in following.devices] == ["d-1"]
        assert (following.attempt, following.lease) == (1, plan.step.lease)

    def test_what_is_to_be_tried_again_lets_the_plan_rest(self, hall, step, device, clock):
        _, passages, _ = hall
        (send,) = passages.begin(decided(step, clock, device()))
        passages.take(ended(send, clock, Outcome.RETRY, retry_at=clock.now() + timedelta(seconds=1)))
        assert next_step(passages.take_through()[0]) is None


class TestPipeline:
    async def test_one_claim_and_one_record(self, rig, device):
        rig.ledger.register(device(Provider.FCM), device(Provider.APNS))
        sent = rig.ledger.add()
        await rig.start()
        assert (len(rig.ledger.claims), len(rig.ledger.records)) == (1, 1)
        assert rig.state(sent) is State.EXHAUSTED
        assert sorted(rig.outcomes(sent)) == [("apns", "accepted"), ("fcm", "accepted"), ("live", "offline")]

    async def test_what_takes_long_is_told_of_before_it_ends(self, rig, device):
        rig.ledger.register(device(Provider.FCM), device(Provider.APNS))
        rig.providers[Provider.FCM].hang()
        sent = rig.ledger.add()
        await rig.start()
        assert rig.outcomes(sent) == []
        await rig.advance(2 * LINGER_S)
        assert rig.outcomes(sent) == [("live", "offline"), ("apns", "accepted")]
        rig.providers[Provider.FCM].answer()
        await rig.advance(0.1)
        assert rig.state(sent) is State.EXHAUSTED
        assert [len(rig.calls(provider)) for provider in (Provider.FCM, Provider.APNS)] == [1, 1]

    async def test_a_retry_is_a_step_of_its_own(self, rig, device):
        rig.ledger.register(device(Provider.FCM), device(Provider.APNS))
        rig.providers[Provider.FCM].script = [Retry("503", after_s=20.0)]
        sent = rig.ledger.add()
        await rig.start()
        await rig.advance(25.0)
        assert [entry.attempt for entry in rig.ledger.entries[sent.id] if entry.provider == "fcm"] == [1, 2]
        assert len(rig.calls(Provider.APNS)) == 1
        assert rig.state(sent) is State.EXHAUSTED

    async def test_a_device_that_is_gone_is_not_tried_by_the_next_decision(self, rig, device):
        rig.ledger.register(device(Provider.FCM), device(Provider.EMAIL))
        rig.providers[Provider.FCM].default = DropDevice("UNREGISTERED", as_of=rig.clock.now())
        sent = rig.ledger.add()
        await rig.start()
        assert rig.outcomes(sent) == [("live", "offline"), ("fcm", "unregistered"), ("email", "accepted")]
        assert [one.provider for one in rig.ledger.devices.values()] == [Provider.EMAIL]

    async def test_what_counts_against_a_cap_is_written_before_it_is_sent(self, rig, device):
        rig.settings = NotificationSettings(cap=CapSettings(limit=5, window="1h"))
        rig.ledger.register(device(Provider.FCM))
        rig.ledger.add()
        await rig.start()
        ((first, _), *_) = rig.ledger.records
        assert [plan.counts for plan in first] == [True]

    async def test_what_is_left_alone_is_told_by_its_step(self, rig, device):
        rig.ledger.register(device(Provider.EMAIL), device(Provider.EMAIL, "of-old"))
        rig.ledger.left_alone.add("of-old")
        sent = rig.ledger.add(routes=(Route.EMAIL,))
        await rig.start()
        assert sorted(rig.outcomes(sent)) == [("email", "accepted"), ("email", "suppressed")]
        assert [device_id for _, _, device_id in rig.providers[Provider.EMAIL].calls] == ["device-email"]

    async def test_more_are_claimed_while_few_are_under_way_only(self, rig, device):
        rig.settings = NotificationSettings(concurrency=1)
        rig.ledger.register(device(Provider.FCM))
        rig.providers[Provider.FCM].hang()
        for _ in range(3):
            rig.ledger.add(routes=PUSH)
        await rig.start()
        late, critical = rig.ledger.add(routes=PUSH), rig.ledger.add(routes=PUSH, lane=Lane.CRITICAL)
        await rig.quiet()
        assert [step.notification.id for claim in rig.ledger.claims[1:] for step in claim] == [critical.id]
        await rig.advance(LINGER_S)
        assert late.id in {step.notification.id for claim in rig.ledger.claims for step in claim}

    async def test_a_store_that_is_away_gets_it_later(self, rig, device):
        rig.ledger.register(device(Provider.FCM), device(Provider.APNS))
        rig.providers[Provider.FCM].hang()
        sent = rig.ledger.add(routes=PUSH)
        pipeline = await rig.start()
        rig.ledger.is_away = True
        await rig.advance(1.0)
        rig.providers[Provider.FCM].answer()
        await rig.advance(5.0)
        assert pipeline.statistics().unwritten == 2
        rig.ledger.is_away = False
        await rig.advance(6.0)
        assert rig.outcomes(sent) == [("apns", "accepted"), ("fcm", "accepted")]
        assert [len(rig.calls(provider)) for provider in (Provider.FCM, Provider.APNS)] == [1, 1]
        assert pipeline.statistics().held == 0

    async def test_stop_tells_what_was_made_and_gives_back_what_was_not(self, rig, device):
        rig.ledger.register(device(Provider.FCM), device(Provider.APNS))
        rig.providers[Provider.FCM].hang()
        sent = rig.ledger.add(routes=PUSH)
        pipeline = await rig.start(stop_timeout_s=0.0)
        await asyncio.wait_for(pipeline.stop(), 30)
        assert rig.outcomes(sent) == [("apns", "accepted")]
        assert all(not row.lease for row in rig.ledger.rows.values())
        rig.providers[Provider.FCM].answer()
        await rig.start("w-2")
        assert len(rig.calls(Provider.APNS)) == 1
        assert rig.state(sent) is State.EXHAUSTED

    async def test_an_ack_leaves_what_was_not_begun(self, rig, device):
        rig.settings = NotificationSettings(concurrency=1)
        rig.ledger.register(device(Provider.FCM))
        rig.providers[Provider.FCM].hang()
        first, second = rig.ledger.add(routes=PUSH), rig.ledger.add(routes=PUSH)
        pipeline = await rig.start()
        await rig.ledger.acknowledge(second.id, "ann")
        rig.providers[Provider.FCM].answer()
        await rig.advance(2 * LINGER_S)
        assert [id_ for _, id_, _ in rig.providers[Provider.FCM].calls] == [first.id]
        assert pipeline.statistics().held == 0

    @pytest.mark.parametrize("error", [StoreUnavailable("away"), RuntimeError("a bug")])
    async def test_a_next_decision_that_fails_leaves_the_plan_due(self, rig, device, error):
        answers = [{}, error, {}]

        class Frequency:
            async def told(self, users, category, *, since):
                answer = answers.pop(0)
                if isinstance(answer, Exception):
                    raise answer
                return answer

        rig.settings = NotificationSettings(cap=CapSettings(limit=5, window="1h"))
        rig.ledger.register(device(Provider.WEBHOOK))
        sent = rig.ledger.add(routes=(Route.WEBHOOK,))
        await rig.start(frequency=Frequency())
        await rig.advance(1.0)
        assert rig.outcomes(sent) == [("webhook", "accepted")]
        assert rig.state(sent) is State.EXHAUSTED
        assert len(rig.calls(Provider.WEBHOOK)) == 1
