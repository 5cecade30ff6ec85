"""N-20: a quota that is exceeded halves a carrier's rate, which climbs back by a twentieth in ten seconds."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.engines.memory.limits import MemoryLimits
from broker.notification import Lane, Provider, Route, State
from config.settings import ProviderLimits
from pushers.outcome import Retry
from pushers.rates import Rates
from pushers.throttle import Throttle

FCM = Provider.FCM
PUSH = (Route.PUSH,)
EXCEEDED = Retry("QUOTA_EXCEEDED", 60.0, scope="lane", is_failure=False, is_quota=True)


def slowed(share):
    """One that was halved until the share is at most this, at 0 s with nothing to wait for."""
    throttle, now = Throttle(), 0.0
    while throttle.share(now) > share:
        throttle.complain(now, now)
    return throttle


def test_it_is_halved_and_climbs_by_a_twentieth_in_ten_seconds():
    throttle = Throttle()
    assert throttle.share(5.0) == 1.0
    assert throttle.complain(5.0, 5.0)
    shares = [throttle.share(5.0 + seconds) for seconds in (0, 9.9, 10, 25, 99.9, 100, 5000)]
    assert shares == pytest.approx([0.5, 0.5, 0.55, 0.6, 0.95, 1.0, 1.0])


def test_it_climbs_only_once_the_pause_is_over():
    throttle = Throttle()
    throttle.complain(0.0, 60.0)
    assert [throttle.share(at) for at in (59.0, 60.0, 70.0)] == pytest.approx([0.5, 0.5, 0.55])


def test_complaints_of_calls_that_were_under_way_are_one():
    throttle = Throttle()
    assert [throttle.complain(now, now + 60.0) for now in (0.0, 1.0, 59.0)] == [True, False, False]
    assert throttle.share(118.0) == 0.5, "the last one has moved the end of the pause"
    assert throttle.complain(119.0, 130.0), "a call of after the pause says something new"
    assert throttle.share(119.0) == 0.25


def test_it_never_falls_below_the_floor_and_gets_up_again():
    throttle = slowed(0.01 + 1 / 32)
    for _ in range(20):
        throttle.complain(0.0, 0.0)
    assert throttle.share(0.0) == 1 / 32
    assert throttle.share(200.0) == 1.0


def test_what_has_recovered_begins_at_the_whole_again():
    throttle = slowed(0.5)
    assert throttle.share(1000.0) == 1.0
    throttle.complain(1000.0, 1000.0)
    assert throttle.share(1000.0) == 0.5


@given(st.lists(st.tuples(st.floats(0, 100), st.floats(0, 100)), max_size=30))
def test_the_share_stays_within_its_bounds_and_only_complaints_lower_it(complaints):
    throttle, now = Throttle(), 0.0
    for gap_s, pause_s in complaints:
        before = throttle.share(now)
        now += gap_s
        assert before <= throttle.share(now) <= 1.0
        was = throttle.share(now)
        halved = throttle.complain(now, now + pause_s)
        assert throttle.share(now) == pytest.approx(max(1 / 32, was / 2) if halved else was)
    assert throttle.share(now + 1000.0) == 1.0


# In the rates


async def spent(rates, device, count, carrier=FCM):
    return [await rates.spend(carrier, device(FCM), Lane.BULK) for _ in range(count)]


async def test_rate_and_burst_are_halved_and_those_of_others_stay(clock, device):
    limits = ProviderLimits(rate_per_s=10.0, burst=4)
    rates = Rates(MemoryLimits(clock), {FCM: limits, "fcm:kiosk": limits}, clock)
    rates.throttle(FCM).complain(clock.monotonic(), clock.monotonic())
    assert await spent(rates, device, 4) == pytest.approx([0.0, 0.0, 0.2, 0.4])
    assert (rates.per_s(FCM), rates.per_s("fcm:kiosk")) == (5.0, 10.0), "what operators are shown"
    assert await spent(rates, device, 5, "fcm:kiosk") == pytest.approx([0.0] * 4 + [0.1])
    clock.move(100.0)
    assert await spent(rates, device, 5) == pytest.approx([0.0] * 4 + [0.1])


async def test_what_was_spent_at_the_full_rate_counts(clock, device):
    rates = Rates(MemoryLimits(clock), {FCM: ProviderLimits(rate_per_s=10.0, burst=4)}, clock)
    await spent(rates, device, 4)
    rates.throttle(FCM).complain(clock.monotonic(), clock.monotonic())
    assert (await spent(rates, device, 1))[0] > 0


async def test_an_operators_rate_is_halved_as_well(clock, device):
    rates = Rates(MemoryLimits(clock), {}, clock)
    rates.override({FCM: 8.0})
    rates.throttle(FCM).complain(clock.monotonic(), clock.monotonic())
    assert await spent(rates, device, 5) == pytest.approx([0.0] * 4 + [0.25])
    rates.override({FCM: 2.0})
    assert rates.share(FCM) == 0.5, "another rate does not forget it"


async def test_without_a_rate_it_is_slowed_from_how_fast_it_was_called(clock, device):
    rates = Rates(MemoryLimits(clock), {}, clock)
    throttle = rates.throttle(FCM)
    for _ in range(200):
        throttle.call(clock.monotonic())
    assert not rates.is_limited(FCM)
    throttle.complain(clock.monotonic(), clock.monotonic())
    assert rates.is_limited(FCM)
    assert await spent(rates, device, 11) == pytest.approx([0.0] * 10 + [0.1])
    clock.move(100.0)
    assert not rates.is_limited(FCM)
    assert await spent(rates, device, 100) == [0.0] * 100


# In the pipeline


def shares(pipeline):
    metrics = pipeline.metrics.registry.collect()
    samples = [sample for metric in metrics for sample in metric.samples if sample.name == "heliograph_rate_share"]
    return {sample.labels["provider"]: sample.value for sample in samples}


async def test_a_carrier_slows_down_and_no_other_does(rig, device):
    quota = rig.add_app("fcm:kiosk")
    quota.script = [EXCEEDED]
    rig.limits = {"fcm:kiosk": ProviderLimits(rate_per_s=1, burst=2), "fcm": ProviderLimits(rate_per_s=1000, burst=1000)}
    rig.ledger.register(device(FCM), device(FCM, id="kiosk", app="kiosk"))
    sent = [rig.ledger.add(routes=PUSH, ack_wait_s=0, push_wait_s=0) for _ in range(6)]
    pipeline = await rig.start()
    assert (shares(pipeline)["fcm"], shares(pipeline)["fcm:kiosk"]) == (1.0, 0.5)
    assert len(rig.calls("fcm")) == 6
    for _ in range(90):
        await rig.advance(1.0)
    assert len(rig.calls("fcm:kiosk")) == 7, "nothing is lost, and all of it waited for the pause"
    after = sorted(at for at in rig.calls("fcm:kiosk") if at > 0.0)
    assert after[0] >= 60.0
    assert after[4] - after[0] >= 6.0, "at half of its rate: a call in two seconds"
    assert {rig.state(one) for one in sent} == {State.EXHAUSTED}
    for _ in range(80):
        await rig.advance(1.0)
    assert shares(pipeline)["fcm:kiosk"] == 1.0
