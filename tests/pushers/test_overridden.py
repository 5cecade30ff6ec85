"""What operators say otherwise, and what the pipeline does and leaves then."""

from datetime import timedelta

import pytest

from broker.notification import Lane, Provider, Route, State
from broker.overrides import InForce, Kind, Override
from config.settings import NotificationSettings, ProviderLimits

PUSH = (Route.PUSH,)


@pytest.fixture
def say(rig):
    """Say something otherwise to a pipeline; nothing ends what was said before."""

    def say(pipeline, *overrides):
        now = rig.clock.now()
        end = now + timedelta(hours=1)
        pipeline.obey(InForce.of(Override(kind, target, value, "a test", now, end) for kind, target, value in overrides))

    return say


async def test_nothing_is_claimed_of_a_paused_lane_until_it_is_resumed(rig, device, say):
    rig.ledger.register(device(Provider.FCM))
    pipeline = await rig.start()
    say(pipeline, (Kind.PAUSE_LANE, "bulk", None))
    left = rig.ledger.add(routes=PUSH, lane=Lane.BULK)
    done = rig.ledger.add(routes=PUSH, lane=Lane.NORMAL)
    await rig.advance(30.0)
    assert (rig.state(left), rig.state(done)) == (State.PENDING, State.EXHAUSTED)
    claims = len(rig.ledger.claims)
    await rig.advance(10.0)
    assert len(rig.ledger.claims) - claims <= 11, "it looks once a second, not all the time"
    say(pipeline)
    await rig.quiet()
    assert rig.state(left) is State.EXHAUSTED


async def test_a_lane_that_is_open_keeps_its_moments_beside_one_that_is_paused(rig, device, say):
    rig.ledger.register(device(Provider.FCM), device(Provider.EMAIL))
    pipeline = await rig.start()
    say(pipeline, (Kind.PAUSE_LANE, "bulk", None))
    rig.ledger.add(routes=PUSH, lane=Lane.BULK)
    rig.ledger.add(lane=Lane.HIGH, push_wait_s=2.25)
    await rig.advance(2.24)
    assert rig.calls(Provider.EMAIL) == []
    await rig.advance(0.01)
    assert rig.calls(Provider.EMAIL) == [2.25]


async def test_only_critical_ones_are_worked_on_where_only_they_are_wanted(rig, device, say):
    rig.ledger.register(device(Provider.FCM))
    pipeline = await rig.start()
    say(pipeline, (Kind.ONLY_CRITICAL, "", None))
    sent = {lane: rig.ledger.add(routes=PUSH, lane=lane) for lane in Lane}
    await rig.advance(5.0)
    states = {lane: rig.state(one) for lane, one in sent.items()}
    assert states == {lane: State.EXHAUSTED if lane is Lane.CRITICAL else State.PENDING for lane in Lane}


async def test_where_all_lanes_are_paused_nothing_is_asked_for(rig, device, say):
    rig.ledger.register(device(Provider.FCM))
    pipeline = await rig.start()
    say(pipeline, *((Kind.PAUSE_LANE, lane.name.lower(), None) for lane in Lane))
    sent = rig.ledger.add(routes=PUSH, lane=Lane.CRITICAL)
    await rig.quiet()
    claims = len(rig.ledger.claims)
    await rig.advance(10.0)
    assert (len(rig.ledger.claims), rig.state(sent)) == (claims, State.PENDING)
    say(pipeline)
    await rig.quiet()
    assert rig.state(sent) is State.EXHAUSTED


async def test_a_paused_carrier_is_left_alone_and_what_waited_goes_on_at_once(rig, device, say):
    rig.settings = NotificationSettings(concurrency=1)
    rig.ledger.register(device(Provider.FCM))
    rig.providers[Provider.FCM].hang()
    pipeline = await rig.start()
    under_way = rig.ledger.add(routes=PUSH)
    await rig.quiet()
    waiting = rig.ledger.add(routes=PUSH)
    await rig.quiet()
    say(pipeline, (Kind.PAUSE_CARRIER, "fcm", None))
    assert [(one.name, one.is_paused) for one in pipeline.carriers() if one.name == "fcm"] == [("fcm", True)]
    rig.providers[Provider.FCM].answer()
    await rig.advance(600.0)
    assert rig.state(under_way) is State.EXHAUSTED, "a call under way may end"
    assert (rig.state(waiting), len(rig.calls(Provider.FCM))) == (State.PENDING, 1)
    say(pipeline)
    await rig.quiet()
    assert rig.state(waiting) is State.EXHAUSTED, "it was not put off until the end of the pause"


async def test_other_carriers_do_not_notice(rig, device, say):
    rig.ledger.register(device(Provider.FCM), device(Provider.EMAIL))
    pipeline = await rig.start()
    say(pipeline, (Kind.PAUSE_CARRIER, "fcm", None))
    mailed = rig.ledger.add(routes=(Route.EMAIL,))
    await rig.quiet()
    assert rig.state(mailed) is State.EXHAUSTED


@pytest.mark.parametrize(
    ("target", "held"),
    [("fcm", {"fcm", "fcm:kiosk"}), ("fcm:kiosk", {"fcm:kiosk"}), ("apns", set()), ("fcm:other", set())],
)
def test_a_provider_means_all_its_apps(target, held, rig):
    now = rig.clock.now()
    overrides = InForce.of([Override(Kind.PAUSE_CARRIER, target, None, "a test", now, now)])
    assert {carrier for carrier in ("fcm", "fcm:kiosk", "email") if overrides.leaves_alone(carrier)} == held


async def test_a_rate_is_lowered_and_is_itself_again(rig, device, say):
    rig.limits = {"fcm": ProviderLimits(rate_per_s=1000.0, burst=1000)}
    rig.ledger.register(device(Provider.FCM))
    pipeline = await rig.start()
    say(pipeline, (Kind.CARRIER_RATE, "fcm", 2.0))
    for _ in range(6):
        rig.ledger.add(routes=PUSH)
    await rig.quiet()
    assert len(rig.calls(Provider.FCM)) == 2, "a second's worth at once"
    await rig.advance(1.0)
    assert len(rig.calls(Provider.FCM)) == 4
    say(pipeline)
    for _ in range(50):
        rig.ledger.add(routes=PUSH)
    await rig.quiet()
    assert len(rig.calls(Provider.FCM)) >= 54


async def test_a_carrier_without_a_rate_gets_one(rig, device, say):
    rig.ledger.register(device(Provider.FCM))
    pipeline = await rig.start()
    say(pipeline, (Kind.CARRIER_RATE, "fcm", 0.5))
    for _ in range(3):
        rig.ledger.add(routes=PUSH)
    await rig.quiet()
    assert len(rig.calls(Provider.FCM)) == 1
    await rig.advance(2.0)
    assert len(rig.calls(Provider.FCM)) == 2
