"""What one provider's worker does beyond the straight way: limits that are away, steps without an address, errors of ours."""

from typing import ClassVar

import pytest

from broker.errors import EngineUnavailable
from broker.notification import Lane, Provider, Route, State
from config.settings import NotificationSettings, ProviderLimits
from pushers.outcome import Accepted, Retry

PUSH = (Route.PUSH,)


async def test_limits_that_are_away_put_off_and_cost_no_try(rig, device):
    class Limits:
        is_away = True

        async def acquire_all(self, group, claims):
            if self.is_away:
                raise EngineUnavailable("away")
            return [0.0] * len(claims)

    limits = Limits()
    rig.limits = {Provider.FCM: ProviderLimits(rate_per_s=10.0)}
    rig.ledger.register(device(Provider.FCM))
    sent = rig.ledger.add(routes=PUSH)
    await rig.start(limits=limits)
    await rig.advance(10.0)
    assert rig.calls(Provider.FCM) == []
    limits.is_away = False
    await rig.advance(6.0)
    assert [entry.attempt for entry in rig.ledger.entries[sent.id]] == [1]
    assert rig.state(sent) is State.EXHAUSTED


async def test_a_probe_that_the_rate_refuses_lets_another_go_later(rig, device):
    class Limits:
        waits: ClassVar[list[float]] = []

        async def acquire_all(self, group, claims):
            return [self.waits.pop() if self.waits else 0.0]

    limits = Limits()
    rig.settings = NotificationSettings(retry_limit=0)
    rig.limits = {Provider.FCM: ProviderLimits(rate_per_s=10.0)}
    rig.ledger.register(device(Provider.FCM))
    rig.providers[Provider.FCM].default = Retry("503")
    await rig.start(limits=limits)
    for _ in range(20):
        rig.ledger.add(routes=PUSH)
    await rig.quiet()
    rig.providers[Provider.FCM].default = Accepted()
    waiting = [rig.ledger.add(routes=PUSH) for _ in range(3)]
    limits.waits = [0.5]
    await rig.advance(80.0)
    assert limits.waits == []
    assert {rig.state(one) for one in waiting} == {State.EXHAUSTED}


async def test_a_probe_that_breaks_before_its_call_lets_another_go(rig, device):
    class Limits:
        is_broken = False

        async def acquire_all(self, group, claims):
            if self.is_broken:
                self.is_broken = False
                raise ValueError("an answer that nobody knows")
            return [0.0] * len(claims)

    limits = Limits()
    rig.settings = NotificationSettings(retry_limit=0)
    rig.limits = {Provider.FCM: ProviderLimits(rate_per_s=10.0)}
    rig.ledger.register(device(Provider.FCM))
    rig.providers[Provider.FCM].default = Retry("503")
    await rig.start(limits=limits)
    for _ in range(20):
        rig.ledger.add(routes=PUSH)
    await rig.quiet()
    rig.providers[Provider.FCM].default = Accepted()
    waiting = [rig.ledger.add(routes=PUSH) for _ in range(3)]
    limits.is_broken = True
    await rig.advance(120.0)
    assert not limits.is_broken
    assert {rig.state(one) for one in waiting} == {State.EXHAUSTED}


async def test_what_a_full_provider_cannot_take_stays_in_the_store_until_there_is_room(rig, device):
    rig.settings = NotificationSettings(concurrency=2)
    rig.ledger.register(device(Provider.FCM))
    rig.providers[Provider.FCM].hang()
    pipeline = await rig.start()
    for _ in range(2):
        for _ in range(20):
            rig.ledger.add(routes=PUSH)
        await rig.advance(2.0)
    assert pipeline.statistics().queued == 18
    # Answers that make no step due now, so that nothing but the room itself can call for more.
    rig.providers[Provider.FCM].default = Retry("429", after_s=3600.0, is_failure=False)
    rig.providers[Provider.FCM].answer()
    await rig.quiet()
    assert len(rig.calls(Provider.FCM)) == 40


async def test_a_device_that_was_removed_meanwhile_ends_its_step(rig, device):
    rig.settings = NotificationSettings(concurrency=1)
    rig.ledger.register(device(Provider.FCM))
    rig.providers[Provider.FCM].script = [Retry("503")]
    sent = rig.ledger.add(routes=PUSH)
    rig.ledger.on_record = rig.ledger.devices.clear
    await rig.start()
    await rig.advance(1.0)
    assert rig.calls(Provider.FCM) == [0.0]
    assert rig.state(sent) is State.FAILED


async def test_a_send_of_a_provider_taken_out_of_the_settings_gives_way(rig, device):
    rig.ledger.register(device(Provider.FCM), device(Provider.EMAIL))
    rig.providers[Provider.FCM].hang()
    sent = rig.ledger.add(push_wait_s=0.0)
    await rig.start()
    await rig.kill()
    await rig.start("w-2", providers=[rig.providers[Provider.EMAIL]])
    await rig.advance(31.0)
    assert rig.outcomes(sent)[1:] == [("fcm", "paused"), ("email", "accepted")]


async def test_a_blocked_provider_does_not_keep_what_expired(rig, device):  # N-8, N-12
    rig.ledger.register(device(Provider.FCM))
    rig.providers[Provider.FCM].script = [Retry("503", after_s=600.0, scope="lane")]
    await rig.start()
    rig.ledger.add(routes=PUSH)
    await rig.quiet()
    late = rig.ledger.add(routes=PUSH, ttl_s=10.0)
    await rig.advance(12.0)
    assert rig.outcomes(late) == [("fcm", "expired")]
    assert rig.state(late) is State.EXPIRED


async def test_an_answer_that_nobody_knows_leaves_the_step_to_its_lease(rig, device):
    rig.ledger.register(device(Provider.FCM))
    rig.providers[Provider.FCM].script = ["no outcome at all"]
    sent = rig.ledger.add(routes=PUSH)
    pipeline = await rig.start()
    await rig.advance(1.0)
    assert pipeline.statistics().held == 0
    await rig.advance(31.0)
    assert rig.state(sent) is State.EXHAUSTED
    assert len(rig.calls(Provider.FCM)) == 2


@pytest.mark.parametrize("concurrency", [1, 3])
async def test_no_more_calls_are_under_way_than_there_are_places(rig, device, concurrency):
    rig.settings = NotificationSettings(concurrency=concurrency)
    rig.ledger.register(device(Provider.FCM))
    rig.providers[Provider.FCM].hang()
    pipeline = await rig.start()
    sent = [rig.ledger.add(routes=PUSH, lane=lane) for lane in Lane for _ in range(20)]
    await rig.advance(2.0)
    statistics = pipeline.statistics()
    assert statistics.under_way == concurrency
    assert rig.providers[Provider.FCM].most_at_once == concurrency
    rig.providers[Provider.FCM].answer()
    await rig.advance(5.0)
    assert {rig.state(one) for one in sent} == {State.EXHAUSTED}
    assert rig.providers[Provider.FCM].most_at_once == concurrency


async def test_of_ten_places_one_is_kept_for_critical_deliveries(rig, device):  # R14
    rig.settings = NotificationSettings(concurrency=10)
    rig.ledger.register(device(Provider.FCM))
    fcm = rig.providers[Provider.FCM]
    fcm.hang()
    pipeline = await rig.start()
    for _ in range(30):
        rig.ledger.add(routes=PUSH, lane=Lane.HIGH)
    await rig.quiet()
    assert pipeline.statistics().under_way == 9
    critical = [rig.ledger.add(routes=PUSH, lane=Lane.CRITICAL) for _ in range(2)]
    await rig.quiet()
    assert [id_ for _, id_, _ in fcm.calls][9:] == [critical[0].id]
    fcm.default = Accepted()
    fcm.answer()
    await rig.advance(1.0)
    assert len(fcm.calls) == 32
    fcm.hang()
    for _ in range(30):
        rig.ledger.add(routes=PUSH, lane=Lane.HIGH)
    await rig.quiet()
    assert pipeline.statistics().under_way == 9


async def test_who_saw_it_full_is_called_whoever_looks_meanwhile(rig, device):
    """Critical ones look as they are stored: a look at a queue that has become shorter takes nobody's call away."""
    rig.settings = NotificationSettings(concurrency=10)
    rig.ledger.register(device(Provider.FCM))
    fcm = rig.providers[Provider.FCM]
    fcm.hang()
    pipeline = await rig.start()
    for _ in range(60):
        rig.ledger.add(routes=PUSH, lane=Lane.HIGH)
    await rig.advance(2.0)
    worker, called = pipeline._workers["fcm"], []
    worker._on_room = lambda: called.append(worker.queued)
    assert worker.is_full()
    while worker.is_full():
        worker._others.pop()
    assert worker.queued > 20
    fcm.answer()
    await rig.quiet()
    assert called == [20]
