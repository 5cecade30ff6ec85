"""The component from claim to record: what reaches providers, when, and what the timeline tells."""

import asyncio
from datetime import timedelta

import msgspec
import pytest

from broker.errors import EngineUnavailable
from broker.notification import Lane, Preference, Provider, Route, State, Terms
from config.settings import NotificationSettings, ProviderLimits
from pushers.haste import Haste
from pushers.outcome import Accepted, Ambiguous, ConfigPause, DropDevice, DropMessage, Retry, TooLarge

PUSH = (Route.PUSH,)


async def test_an_offline_user_gets_push_then_mail(rig, device):  # N-1, N-2
    rig.ledger.register(device(Provider.FCM), device(Provider.EMAIL))
    sent = rig.ledger.add(push_wait_s=30.0)
    await rig.start()
    assert rig.calls(Provider.FCM) == [0.0]
    await rig.advance(29.0)
    assert rig.calls(Provider.EMAIL) == []
    await rig.advance(1.0)
    assert rig.calls(Provider.EMAIL) == [30.0]
    assert rig.state(sent) is State.EXHAUSTED
    assert rig.outcomes(sent) == [("live", "offline"), ("fcm", "accepted"), ("email", "accepted")]


async def test_a_connected_user_is_told_live_and_an_ack_ends_it(rig, device):  # N-2
    rig.ledger.register(device(Provider.FCM))
    await rig.connect()
    await rig.start()
    sent = rig.ledger.add()
    await rig.quiet()
    assert [channel for channel, _ in rig.published] == ["#ann"]
    assert rig.published[0][1]["id"] == sent.id
    await rig.advance(4.0)
    await rig.ledger.acknowledge(sent.id, "ann")
    await rig.advance(60.0)
    assert rig.calls(Provider.FCM) == []
    assert rig.state(sent) is State.ACKNOWLEDGED


async def test_without_an_ack_the_push_goes_out_after_the_wait(rig, device):  # N-1
    rig.ledger.register(device(Provider.FCM))
    await rig.connect()
    sent = rig.ledger.add(ack_wait_s=5.0)
    await rig.start()
    await rig.advance(4.9)
    assert rig.calls(Provider.FCM) == []
    await rig.advance(0.1)
    assert rig.calls(Provider.FCM) == [5.0]
    assert rig.state(sent) is State.EXHAUSTED


async def test_an_ack_that_comes_while_the_step_waits_for_a_place_stops_the_send(rig, device):  # N-3
    rig.settings = NotificationSettings(concurrency=1)
    rig.ledger.register(device(Provider.FCM))
    rig.providers[Provider.FCM].hang()
    await rig.start()
    rig.ledger.add(routes=PUSH)
    await rig.quiet()
    waiting = rig.ledger.add(routes=PUSH)
    await rig.quiet()
    await rig.ledger.acknowledge(waiting.id, "ann")
    rig.providers[Provider.FCM].answer()
    await rig.quiet()
    assert waiting.id not in [id_ for _, id_, _ in rig.providers[Provider.FCM].calls]
    assert rig.state(waiting) is State.ACKNOWLEDGED


async def test_a_send_under_way_may_finish_and_both_are_told(rig, device):  # N-3
    rig.ledger.register(device(Provider.FCM))
    rig.providers[Provider.FCM].hang()
    pipeline = await rig.start()
    sent = rig.ledger.add(routes=PUSH)
    await rig.quiet()
    await rig.ledger.acknowledge(sent.id, "ann")
    rig.providers[Provider.FCM].answer()
    await rig.quiet()
    assert rig.outcomes(sent) == [("live", "acknowledged"), ("fcm", "accepted")]
    assert rig.state(sent) is State.ACKNOWLEDGED
    assert pipeline.statistics().held == 0


async def test_a_temporary_failure_is_retried_from_the_schedule(rig, device):  # N-14
    rig.settings = NotificationSettings(retry_jitter="equal")
    rig.ledger.register(device(Provider.FCM))
    rig.providers[Provider.FCM].script = [Retry("503"), Retry("503")]
    sent = rig.ledger.add(routes=PUSH)
    await rig.start()
    assert len(rig.calls(Provider.FCM)) == 1
    await rig.advance(2.0)
    first, second, third = rig.calls(Provider.FCM)
    assert 0.05 <= second - first < 0.2
    assert 0.1 <= third - second < 0.3
    assert rig.outcomes(sent) == [("fcm", "retry"), ("fcm", "retry"), ("fcm", "accepted")]
    assert [entry.attempt for entry in rig.ledger.entries[sent.id]] == [1, 2, 3]
    assert rig.state(sent) is State.EXHAUSTED


async def test_the_last_retry_gives_up_and_mail_follows_at_once(rig, device):
    rig.ledger.register(device(Provider.FCM), device(Provider.EMAIL))
    rig.providers[Provider.FCM].default = Retry("503")
    sent = rig.ledger.add()
    await rig.start()
    await rig.advance(10.0)
    assert len(rig.calls(Provider.FCM)) == 6
    assert len(rig.calls(Provider.EMAIL)) == 1
    assert rig.outcomes(sent)[-2:] == [("fcm", "gave_up"), ("email", "accepted")]


async def test_retry_after_is_obeyed(rig, device):  # N-16
    rig.ledger.register(device(Provider.APNS), device(Provider.FCM))
    rig.providers[Provider.APNS].script = [Retry("429", after_s=20.0, is_failure=False)]
    rig.ledger.add(routes=PUSH)
    await rig.start()
    await rig.advance(19.9)
    assert rig.calls(Provider.APNS) == [0.0]
    await rig.advance(2.2)
    assert len(rig.calls(Provider.APNS)) == 2
    assert rig.calls(Provider.APNS)[1] >= 20.0


async def test_a_word_for_the_whole_lane_holds_everything_back_there_and_nothing_elsewhere(rig, device):  # N-16
    rig.ledger.register(device(Provider.APNS), device(Provider.FCM))
    rig.providers[Provider.APNS].script = [Retry("503", after_s=20.0, scope="lane")]
    await rig.start()
    rig.ledger.add(routes=PUSH)
    await rig.quiet()
    for _ in range(5):
        rig.ledger.add(routes=PUSH)
    await rig.advance(19.9)
    assert rig.calls(Provider.APNS) == [0.0]
    assert len(rig.calls(Provider.FCM)) == 6
    await rig.advance(3.0)
    assert len(rig.calls(Provider.APNS)) == 7


async def test_a_dead_address_is_dropped_and_the_next_route_has_its_turn(rig, device):
    rig.ledger.register(device(Provider.FCM), device(Provider.EMAIL))
    rig.providers[Provider.FCM].script = [DropDevice("UNREGISTERED", as_of=rig.clock.now())]
    sent = rig.ledger.add()
    await rig.start()
    assert [found.provider for found in rig.ledger.devices.values()] == [Provider.EMAIL]
    assert rig.outcomes(sent) == [("live", "offline"), ("fcm", "unregistered"), ("email", "accepted")]


@pytest.mark.parametrize("outcome", [DropMessage("bad"), TooLarge(4096), DropDevice("mix-up", None, confident=False)])
async def test_a_permanent_failure_goes_to_the_next_route_and_keeps_the_device(rig, device, outcome):
    rig.ledger.register(device(Provider.FCM), device(Provider.EMAIL))
    rig.providers[Provider.FCM].script = [outcome]
    sent = rig.ledger.add()
    await rig.start()
    assert len(rig.ledger.devices) == 2
    assert rig.outcomes(sent)[1:] == [("fcm", "refused"), ("email", "accepted")]


async def test_nobody_to_reach_is_failed(rig):
    sent = rig.ledger.add()
    await rig.start()
    assert rig.state(sent) is State.FAILED


async def test_a_muted_route_is_left_out(rig, device):
    rig.ledger.register(device(Provider.FCM), device(Provider.EMAIL))
    rig.ledger.preferences = [Preference("chat", "push", False)]
    sent = rig.ledger.add()
    await rig.start()
    assert rig.outcomes(sent) == [("live", "offline"), ("push", "muted"), ("email", "accepted")]
    assert rig.calls(Provider.FCM) == []


async def test_a_provider_that_is_not_configured_is_told_and_passed(rig, device):
    del rig.providers[Provider.FCM]
    rig.ledger.register(device(Provider.FCM), device(Provider.EMAIL))
    sent = rig.ledger.add()
    await rig.start()
    assert rig.outcomes(sent)[1:] == [("fcm", "paused"), ("email", "accepted")]


async def test_what_expires_while_it_waits_is_expired_and_not_sent(rig, device):
    rig.ledger.register(device(Provider.FCM))
    await rig.connect()
    sent = rig.ledger.add(ttl_s=3.0, ack_wait_s=5.0)
    await rig.start()
    await rig.advance(3.0)
    assert rig.state(sent) is State.EXPIRED
    assert rig.calls(Provider.FCM) == []


async def test_a_delivery_that_expires_before_its_turn_is_not_sent(rig, device):  # N-8
    rig.settings = NotificationSettings(concurrency=1)
    rig.ledger.register(device(Provider.FCM))
    rig.providers[Provider.FCM].hang()
    rig.ledger.add(routes=PUSH)
    await rig.start()
    late = rig.ledger.add(routes=PUSH, ttl_s=4.0)
    await rig.advance(4.0)
    rig.providers[Provider.FCM].answer()
    await rig.quiet()
    assert rig.outcomes(late) == [("fcm", "expired")]
    assert rig.state(late) is State.EXPIRED
    assert len(rig.calls(Provider.FCM)) == 1


async def test_a_hanging_provider_does_not_hold_up_another(rig, device):
    rig.settings = NotificationSettings(concurrency=2)
    rig.ledger.register(device(Provider.APNS), device(Provider.FCM))
    rig.providers[Provider.APNS].hang()
    pipeline = await rig.start()
    sent = [rig.ledger.add(routes=PUSH) for _ in range(50)]
    await rig.advance(5.0)
    assert len(rig.calls(Provider.APNS)) == 2
    assert len(rig.calls(Provider.FCM)) == 50
    assert rig.providers[Provider.APNS].most_at_once == 2
    rig.providers[Provider.APNS].answer()
    await rig.advance(5.0)
    assert {rig.state(one) for one in sent} == {State.EXHAUSTED}
    assert pipeline.statistics().held == 0


async def test_the_breaker_opens_probes_and_closes(rig, device):  # N-11, N-12
    rig.settings = NotificationSettings(retry_limit=0)
    rig.ledger.register(device(Provider.FCM))
    rig.providers[Provider.FCM].default = Retry("503")
    await rig.start()
    for _ in range(20):
        rig.ledger.add(routes=PUSH)
    await rig.quiet()
    assert len(rig.calls(Provider.FCM)) == 20
    waiting = [rig.ledger.add(routes=PUSH) for _ in range(30)]
    await rig.advance(53.9)
    assert len(rig.calls(Provider.FCM)) == 20
    rig.providers[Provider.FCM].default = Accepted()
    rig.providers[Provider.FCM].hang()
    for _ in range(13):
        if len(rig.calls(Provider.FCM)) == 20:
            await rig.advance(1.0)
    await rig.advance(1.0)
    assert len(rig.calls(Provider.FCM)) == 21, "one probe goes ahead alone"
    rig.providers[Provider.FCM].answer()
    await rig.advance(1.0)
    assert {rig.state(one) for one in waiting} == {State.EXHAUSTED}
    assert {found for one in waiting for found in rig.outcomes(one)} == {("fcm", "accepted")}


async def test_who_gets_something_into_their_inbox_at_last_is_named(rig, device):
    told = []
    rig.ledger.register(device(Provider.FCM))
    await rig.start(inbox_changed=told.extend)
    later = rig.clock.now() + timedelta(seconds=60)
    rig.ledger.add(routes=PUSH, user="bob")
    rig.ledger.add(routes=PUSH, terms=Terms(send_at=later, arrives=True))
    await rig.advance(59)
    assert told == [], "nothing has arrived yet, and what did at acceptance was told of then"
    await rig.advance(1)
    assert set(told) == {"ann"}


async def test_critical_ones_go_on_while_a_breaker_is_open(rig, device):  # N-12
    rig.settings = NotificationSettings(retry_base=10.0, retry_jitter="equal")
    rig.ledger.register(device(Provider.FCM), device(Provider.EMAIL), device(Provider.FCM, "of-bob", user="bob"))
    rig.providers[Provider.FCM].default = Retry("503")
    await rig.start()
    routes = (Route.PUSH, Route.EMAIL)
    for _ in range(19):
        rig.ledger.add(routes=routes)
    await rig.quiet()
    opening = rig.ledger.add(routes=routes, lane=Lane.CRITICAL)
    await rig.quiet()
    assert rig.outcomes(opening) == [("fcm", "skipped"), ("email", "accepted")], "whose own call opened it does not wait either"
    urgent = rig.ledger.add(routes=routes, lane=Lane.CRITICAL)
    alone = rig.ledger.add(routes=routes, lane=Lane.CRITICAL, user="bob")
    normal = rig.ledger.add(routes=routes)
    await rig.quiet()
    assert rig.outcomes(urgent) == [("fcm", "skipped"), ("email", "accepted")]
    assert (rig.outcomes(alone), rig.outcomes(normal)) == ([("fcm", "skipped")], [])
    rig.providers[Provider.FCM].default = Accepted()
    for _ in range(70):
        await rig.advance(1.0)
    assert rig.outcomes(alone) == [("fcm", "skipped"), ("fcm", "accepted")], "who has no other way waits for it"
    assert rig.outcomes(normal)[0] == ("fcm", "accepted")


async def test_a_failed_probe_opens_again(rig, device):
    rig.settings = NotificationSettings(retry_limit=0)
    rig.ledger.register(device(Provider.FCM))
    rig.providers[Provider.FCM].default = Ambiguous("timeout")
    await rig.start()
    for _ in range(40):
        rig.ledger.add(routes=PUSH)
    await rig.advance(70.0)
    calls = len(rig.calls(Provider.FCM))
    await rig.advance(100.0)
    assert len(rig.calls(Provider.FCM)) == calls, "twice as long as the first time"
    await rig.advance(35.0)
    assert len(rig.calls(Provider.FCM)) == calls + 1


async def test_wrong_settings_hold_everything_until_a_probe_passes(rig, device):
    rig.ledger.register(device(Provider.FCM))
    rig.providers[Provider.FCM].script = [ConfigPause("no such key", after_s=60.0)] * 2
    first = rig.ledger.add(routes=PUSH)
    await rig.start()
    others = [rig.ledger.add(routes=PUSH) for _ in range(5)]
    await rig.advance(59.0)
    assert len(rig.calls(Provider.FCM)) == 1
    assert rig.outcomes(first) == [("fcm", "paused")]
    await rig.advance(10.0)
    assert len(rig.calls(Provider.FCM)) == 2, "a single probe"
    await rig.advance(140.0)
    assert {rig.state(one) for one in (first, *others)} == {State.EXHAUSTED}


async def test_a_rate_spreads_calls_without_costing_tries(rig, device):
    rig.limits = {Provider.FCM: ProviderLimits(rate_per_s=10.0, burst=5)}
    rig.ledger.register(device(Provider.FCM))
    sent = [rig.ledger.add(routes=PUSH) for _ in range(25)]
    await rig.start()
    assert len(rig.calls(Provider.FCM)) == 5
    await rig.advance(1.0)
    assert 10 <= len(rig.calls(Provider.FCM)) <= 15
    await rig.advance(3.0)
    assert len(rig.calls(Provider.FCM)) == 25
    assert {entry.attempt for one in sent for entry in rig.ledger.entries[one.id]} == {1}


async def test_a_retry_that_is_written_while_it_asks_how_long_to_sleep_is_not_late(rig, device, monkeypatch):
    rig.ledger.register(device(Provider.FCM))
    rig.providers[Provider.FCM].script = [Retry("503")]
    answers, next_due = asyncio.Event(), rig.ledger.next_due

    async def slow(**asked):
        found = await next_due(**asked)
        await answers.wait()
        return found

    monkeypatch.setattr(rig.ledger, "next_due", slow)
    rig.ledger.add(routes=PUSH)
    await rig.start()
    assert len(rig.calls(Provider.FCM)) == 1
    answers.set()
    await rig.advance(0.5)
    assert len(rig.calls(Provider.FCM)) == 2


async def test_critical_is_called_before_everything_that_waits(rig, device):
    rig.settings = NotificationSettings(concurrency=1)
    rig.ledger.register(device(Provider.FCM))
    rig.providers[Provider.FCM].hang()
    await rig.start()
    for _ in range(10):
        rig.ledger.add(routes=PUSH, lane=Lane.BULK)
    await rig.quiet()
    critical = rig.ledger.add(routes=PUSH, lane=Lane.CRITICAL)
    await rig.quiet()
    rig.providers[Provider.FCM].answer()
    await rig.advance(1.0)
    order = [id_ for _, id_, _ in rig.providers[Provider.FCM].calls]
    assert order.index(critical.id) <= 2


async def test_critical_is_begun_as_it_is_stored_while_a_claim_is_under_way(rig, device, monkeypatch):  # R14
    rig.ledger.register(device(Provider.FCM))
    await rig.start()

    slow = asyncio.Event()

    async def claim(*_args, **_more):
        await slow.wait()
        return []

    monkeypatch.setattr(rig.ledger, "claim", claim)
    others = rig.ledger.add(routes=PUSH, lane=Lane.HIGH)
    await rig.quiet()
    critical = rig.ledger.add(routes=PUSH, lane=Lane.CRITICAL)
    await rig.quiet()
    assert [id_ for _, id_, _ in rig.providers[Provider.FCM].calls] == [critical.id]
    monkeypatch.undo()
    slow.set()
    await rig.advance(1.0)
    assert {rig.state(critical), rig.state(others)} == {State.EXHAUSTED}


async def test_others_wait_while_critical_ones_are_stored_but_not_for_long(rig, device):  # R14
    haste = Haste(rig.clock)
    rig.ledger.register(device(Provider.FCM))
    haste.begin()
    others = [rig.ledger.add(routes=PUSH, lane=Lane.HIGH) for _ in range(60)]
    await rig.start(haste=haste)
    assert rig.calls(Provider.FCM) == []
    critical = [rig.ledger.add(routes=PUSH, lane=Lane.CRITICAL) for _ in range(60)]
    await rig.quiet()
    assert {id_ for _, id_, _ in rig.providers[Provider.FCM].calls} == {one.id for one in critical}
    await rig.advance(0.1)
    assert len(rig.calls(Provider.FCM)) == 120
    assert {rig.state(one) for one in others} == {State.EXHAUSTED}


async def test_decisions_that_wait_at_the_end_are_recorded(rig, device):
    haste = Haste(rig.clock)
    await rig.connect("ann")
    sent = [rig.ledger.add(user="ann", lane=Lane.HIGH) for _ in range(24)]
    more = [rig.ledger.add(user="ann", lane=Lane.NORMAL) for _ in range(20)]
    pipeline = rig.make(haste=haste)

    haste.turn = asyncio.Event().wait  # never ends
    planner, decide = pipeline._planner, pipeline._planner.decide
    planner.decide = lambda steps, turn: decide(steps)
    running = asyncio.create_task(pipeline.run())
    await pipeline.started.wait()
    await rig.quiet()
    await pipeline.stop()
    await running
    lines = [rig.outcomes(one) for one in (*sent, *more)]
    assert lines == [[("live", "published")]] * 44


async def test_in_haste_claims_are_small(rig, device):
    haste = Haste(rig.clock)
    rig.ledger.register(device(Provider.FCM))
    for is_on, most in ((False, 500), (True, 75)):
        for _ in range(600):
            rig.ledger.add(routes=PUSH, lane=Lane.BULK)
        if is_on:
            haste.begin()
            haste.end()
        rig.ledger.claims.clear()
        pipeline = await rig.start(haste=haste)
        await rig.advance(0.5)
        assert max(map(len, rig.ledger.claims)) == most  # once the other lanes are known to be empty
        await rig.advance(3.0)
        await pipeline.stop()


async def test_critical_that_is_not_to_be_begun_waits_to_be_claimed(rig, device, monkeypatch):
    rig.ledger.register(device(Provider.FCM))
    pipeline = await rig.start()
    monkeypatch.setattr("pushers.pipeline._UNWRITTEN", 0)
    critical = rig.ledger.add(routes=PUSH, lane=Lane.CRITICAL)
    assert not rig.ledger.claims
    await rig.advance(1.0)
    assert rig.state(critical) is State.EXHAUSTED
    await pipeline.stop()
    late = rig.ledger.add(routes=PUSH, lane=Lane.CRITICAL)
    await rig.advance(60.0)
    assert rig.state(late) is State.PENDING
    assert not rig.ledger.rows[f"plan-{late.id.removeprefix('n-')}"].lease


async def test_what_was_claimed_as_it_was_stored_is_given_back_at_the_end(rig, device, monkeypatch):
    rig.ledger.register(device(Provider.FCM))
    pipeline = await rig.start()
    asked = asyncio.Event()

    async def never(*_args):
        asked.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(pipeline._planner, "decide", never)
    critical = rig.ledger.add(routes=PUSH, lane=Lane.CRITICAL)
    await asked.wait()
    await pipeline.stop()
    assert not any(row.lease for row in rig.ledger.rows.values())
    await rig.start("w-2")
    await rig.advance(1.0)
    assert rig.state(critical) is State.EXHAUSTED


async def test_steps_left_by_a_dead_worker_are_taken_over_and_count_as_tried(rig, device):  # N-17
    rig.ledger.register(device(Provider.FCM))
    rig.providers[Provider.FCM].hang()
    sent = rig.ledger.add(routes=PUSH)
    await rig.start("w-1")
    assert len(rig.calls(Provider.FCM)) == 1
    await rig.kill()
    rig.providers[Provider.FCM].answer()
    await rig.start("w-2")
    await rig.advance(29.0)
    assert len(rig.calls(Provider.FCM)) == 1
    await rig.advance(2.0)
    assert len(rig.calls(Provider.FCM)) == 2
    assert [entry.attempt for entry in rig.ledger.entries[sent.id]] == [2]
    assert rig.state(sent) is State.EXHAUSTED


async def test_a_long_call_keeps_its_lease(rig, device):
    rig.ledger.register(device(Provider.FCM))
    rig.providers[Provider.FCM].hang()
    sent = rig.ledger.add(routes=PUSH)
    await rig.start("w-1")
    await rig.start("w-2")
    await rig.advance(300.0)
    assert len(rig.ledger.claims) == 1, "its plan, and nobody claimed what was begun under its lease"
    assert len(rig.calls(Provider.FCM)) == 1
    rig.providers[Provider.FCM].answer()
    await rig.quiet()
    assert rig.outcomes(sent) == [("fcm", "accepted")]


async def test_the_store_goes_away_and_comes_back(rig, device):
    rig.ledger.register(device(Provider.FCM))
    rig.providers[Provider.FCM].hang()
    under_way = rig.ledger.add(routes=PUSH)
    pipeline = await rig.start()
    rig.ledger.is_away = True
    rig.providers[Provider.FCM].answer()
    await rig.advance(20.0)
    waiting = rig.ledger.add(routes=PUSH)
    assert pipeline.statistics().unwritten == 1
    rig.ledger.is_away = False
    await rig.advance(6.0)
    assert rig.state(under_way) is rig.state(waiting) is State.EXHAUSTED
    assert len(rig.calls(Provider.FCM)) == 2


async def test_a_lease_that_ran_out_while_the_store_was_away_is_not_done_twice(rig, device):
    rig.ledger.register(device(Provider.FCM))
    rig.providers[Provider.FCM].hang()
    sent = rig.ledger.add(routes=PUSH)
    pipeline = await rig.start()
    rig.ledger.is_away = True
    await rig.advance(60.0)
    rig.ledger.is_away = False
    await rig.advance(6.0)
    assert len(rig.ledger.claims) == 2, "the plan, and the plan again under a new lease"
    rig.providers[Provider.FCM].answer()
    await rig.quiet()
    assert len(rig.calls(Provider.FCM)) == 1
    assert rig.outcomes(sent) == [("fcm", "accepted")]
    assert rig.state(sent) is State.EXHAUSTED
    assert pipeline.statistics().held == 0


async def test_an_error_of_ours_in_one_delivery_leaves_the_others_alone(rig, device):
    rig.ledger.register(device(Provider.FCM))
    rig.providers[Provider.FCM].script = [RuntimeError("a bug")]
    sent = [rig.ledger.add(routes=PUSH) for _ in range(3)]
    await rig.start()
    await rig.advance(1.0)
    assert {rig.state(one) for one in sent} == {State.EXHAUSTED}
    assert [rig.outcomes(one) for one in sent].count([("fcm", "retry"), ("fcm", "accepted")]) == 1


async def test_an_error_of_ours_in_one_result_leaves_the_others_alone(rig, device):
    rig.ledger.register(device(Provider.FCM))
    await rig.start()
    failures = 1

    def fail_once():
        nonlocal failures
        failures -= 1
        if failures >= 0:
            raise RuntimeError("a bug")

    rig.ledger.on_record = fail_once
    sent = [rig.ledger.add(routes=PUSH) for _ in range(3)]
    await rig.quiet()
    assert {rig.state(one) for one in sent} == {State.EXHAUSTED}


async def test_stop_finishes_what_is_under_way_and_gives_the_rest_back(rig, device):  # N-34
    rig.settings = NotificationSettings(concurrency=1)
    rig.ledger.register(device(Provider.FCM))
    rig.providers[Provider.FCM].hang()
    sent = [rig.ledger.add(routes=PUSH) for _ in range(2)]
    pipeline = await rig.start()
    stopping = asyncio.create_task(pipeline.stop())
    await rig.quiet()
    assert not stopping.done()
    rig.providers[Provider.FCM].answer()
    await stopping
    assert [rig.outcomes(one) for one in sent] == [[("fcm", "accepted")], []]
    assert all(not row.lease for row in rig.ledger.rows.values())
    await pipeline.stop()


async def test_stop_cuts_off_what_does_not_end(rig, device):  # N-34
    rig.ledger.register(device(Provider.FCM))
    rig.providers[Provider.FCM].hang()
    sent = rig.ledger.add(routes=PUSH)
    pipeline = await rig.start()
    stopping = asyncio.create_task(pipeline.stop())
    await rig.advance(3.0)
    await stopping
    assert rig.outcomes(sent) == []
    rig.providers[Provider.FCM].answer()
    await rig.start("w-2")
    assert rig.state(sent) is State.EXHAUSTED


async def test_stop_before_the_start_keeps_it_from_starting(rig):
    sent = rig.ledger.add()
    pipeline = rig.make()
    await pipeline.stop()
    await pipeline.run()
    assert rig.ledger.claims == []
    assert rig.state(sent) is State.PENDING


async def test_the_engine_away_delays_the_live_step_no_longer_than_an_ack_would(rig, device):
    class Away:
        async def online(self, users):
            raise EngineUnavailable("away")

    rig.ledger.register(device(Provider.FCM))
    sent = rig.ledger.add(ack_wait_s=5.0)
    await rig.start(user_presence=Away())
    await rig.advance(4.9)
    assert rig.calls(Provider.FCM) == []
    await rig.advance(0.2)
    assert rig.calls(Provider.FCM) == [5.0]
    assert rig.outcomes(sent)[-2:] == [("live", "gave_up"), ("fcm", "accepted")]


async def test_a_device_registered_again_later_is_kept(rig, device):  # N-25
    rig.ledger.register(device(Provider.FCM, registered_at=rig.clock.now()))
    rig.providers[Provider.FCM].script = [DropDevice("gone", as_of=rig.clock.now() - timedelta(days=1))]
    rig.ledger.add(routes=PUSH)
    await rig.start()
    assert len(rig.ledger.devices) == 1


async def test_addresses_are_masked_on_the_timeline(rig, device):  # N-27, N-32
    rig.ledger.register(*(device(provider) for provider in Provider))
    sent = rig.ledger.add(push_wait_s=0.0)
    await rig.start()
    assert {entry.provider: entry.address for entry in rig.ledger.entries[sent.id] if entry.provider} == {
        "apns": "a1b2c3…",
        "fcm": "fcm-to…",
        "webpush": "updates.push.services.mozilla.com/…",
        "email": "a…@example.org",
    }


async def test_a_stop_that_the_store_does_not_answer_ends_all_the_same(rig, device):
    rig.ledger.register(device(Provider.FCM))
    rig.providers[Provider.FCM].hang()
    rig.ledger.add(routes=PUSH)
    pipeline = await rig.start()
    rig.ledger.is_away = True
    rig.providers[Provider.FCM].answer()
    stopping = asyncio.create_task(pipeline.stop())
    await rig.advance(3.0)
    await stopping
    assert pipeline.statistics().unwritten == 1


async def test_a_claim_that_breaks_is_tried_again(rig, device):
    rig.ledger.register(device(Provider.FCM))
    claim, failures = rig.ledger.claim, [RuntimeError("a bug")]

    async def claim_or_fail(*args, **more):
        if failures:
            raise failures.pop()
        return await claim(*args, **more)

    rig.ledger.claim = claim_or_fail
    sent = rig.ledger.add(routes=PUSH)
    await rig.start()
    assert rig.state(sent) is State.PENDING
    await rig.advance(1.0)
    assert rig.state(sent) is State.EXHAUSTED


async def test_a_step_that_cannot_be_handed_out_leaves_the_others_alone(rig, device):
    rig.ledger.register(device(Provider.FCM))
    rig.providers[Provider.FCM].script = [Retry("503"), Retry("503")]
    await rig.start()
    broken, sent = rig.ledger.add(routes=PUSH), rig.ledger.add(routes=PUSH)
    claim = rig.ledger.claim

    async def claim_with_a_broken_one(*args, **more):
        steps = await claim(*args, **more)
        return [msgspec.structs.replace(one, device="none") if is_send_of(one, broken) else one for one in steps]

    rig.ledger.claim = claim_with_a_broken_one
    await rig.advance(1.0)
    assert rig.state(sent) is State.EXHAUSTED
    assert rig.state(broken) is State.PENDING
    rig.ledger.claim = claim
    await rig.advance(32.0)
    assert rig.state(broken) is State.EXHAUSTED


def is_send_of(step, notification):
    return step.device is not None and step.notification.id == notification.id


async def test_metrics_tell_what_happened(rig, device):
    rig.ledger.register(device(Provider.FCM))
    pipeline = await rig.start()
    rig.ledger.add(routes=PUSH, lane=Lane.HIGH)
    await rig.quiet()

    def read(name, **labels):
        return pipeline.metrics.registry.get_sample_value(f"heliograph_{name}", labels)

    assert read("deliveries_total", provider="fcm", outcome="accepted", lane="high") == 1
    assert read("notifications_finished_total", state="exhausted", lane="high") == 1
    assert read("breaker_state", provider="fcm") == 0
