"""Rates through the real limits of the memory engine: of a provider, its apps, users and devices together (N-20)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.engines.memory.limits import MemoryLimits
from broker.notification import Lane, Provider, Route, State
from config.clock import ManualClock
from config.settings import FcmSettings, ProviderLimits
from pushers.rates import Rates

FCM = Provider.FCM
PUSH = (Route.PUSH,)


class CountedLimits(MemoryLimits):
    """Counts decisions: each is one round trip to a shared engine."""

    decisions = 0

    async def acquire_all(self, group, claims):
        self.decisions += 1
        return await super().acquire_all(group, claims)


@pytest.fixture
def make(clock, device):
    """Make rates, and a way to spend: by carrier, or for FCM, for a device and in a lane."""

    def make(**by_carrier):
        rates = Rates(CountedLimits(clock), {name.replace("_", ":"): found for name, found in by_carrier.items()}, clock)

        async def spend(user="ann", id="phone", lane=Lane.BULK, carrier=FCM):
            return await rates.spend(carrier, device(FCM, id=id, user=user), lane)

        spend.rates = rates
        return spend

    return make


@pytest.fixture
def spend(make):
    return make(fcm=ProviderLimits(rate_per_s=10.0, burst=2))


async def test_without_a_rate_nobody_is_asked(clock, device):
    unlimited = Rates(None, {FCM: ProviderLimits(), "fcm:kiosk": FcmSettings()}, clock)
    assert not unlimited.is_limited(FCM)
    for carrier in (FCM, "fcm:kiosk", Provider.APNS):
        assert [await unlimited.spend(carrier, device(FCM), Lane.BULK) for _ in range(100)] == [0.0] * 100


async def test_critical_ones_cost_nobody_a_question_where_only_users_have_rates(clock, device):
    rates = Rates(None, {FCM: ProviderLimits(rate_per_user=("1/h",))}, clock)
    assert rates.is_limited(FCM)
    assert await rates.spend(FCM, device(FCM), Lane.CRITICAL) == 0.0


async def test_beyond_the_burst_each_is_sent_away_to_a_moment_of_its_own(spend):
    waits = [await spend() for _ in range(6)]
    assert waits == pytest.approx([0.0, 0.0, 0.1, 0.2, 0.3, 0.4])


async def test_who_comes_back_at_that_moment_may_call(spend, clock):
    for _ in range(3):
        wait_s = await spend()
    clock.move(wait_s)
    assert await spend() == 0.0


async def test_critical_does_not_stand_behind_bulk(spend):
    for _ in range(50):
        await spend()
    assert await spend(lane=Lane.CRITICAL) == pytest.approx(0.1)


async def test_moments_that_have_passed_are_not_waited_for(spend, clock):
    for _ in range(50):
        await spend()
    clock.move(60.0)
    assert [await spend() for _ in range(3)] == pytest.approx([0.0, 0.0, 0.1])


# Levels together


async def test_each_user_has_a_rate(make):
    spend = make(fcm=ProviderLimits(rate_per_user=("3/h",)))
    assert [await spend(id=f"device-{number}") for number in range(5)] == pytest.approx([0.0, 0.0, 0.0, 1200.0, 2400.0])
    assert await spend(user="bob") == 0.0


async def test_critical_ones_pass_the_rate_of_a_user_and_are_not_counted(make):
    spend = make(fcm=ProviderLimits(rate_per_user=("3/h",)))
    for _ in range(100):
        assert await spend(lane=Lane.CRITICAL) == 0.0
    assert [await spend() for _ in range(3)] == [0.0] * 3
    assert await spend(lane=Lane.HIGH) == pytest.approx(1200.0)


async def test_critical_ones_are_held_where_it_is_said(make):
    spend = make(fcm=ProviderLimits(rate_per_user=("1/h",), critical_passes_rate_per_user=False))
    assert await spend(lane=Lane.CRITICAL) == 0.0
    assert await spend(lane=Lane.CRITICAL) == pytest.approx(3600.0)


async def test_each_device_has_all_of_its_rates(make, clock):
    spend = make(fcm=ProviderLimits(rate_per_device=("2/s", "3/min")))
    assert [await spend() for _ in range(2)] == [0.0, 0.0]
    assert await spend() == pytest.approx(0.5)
    assert await spend(id="tablet") == 0.0
    clock.move(10.0)
    assert await spend() == 0.0
    assert await spend() == pytest.approx(10.0), "a minute's third has come back at twenty"
    assert await spend(lane=Lane.CRITICAL) == pytest.approx(10.0), "a provider counts for devices whatever the lane"


async def test_apps_share_what_the_provider_takes(make):
    shared = {"total_rate_per_s": 1.0, "total_burst": 3}
    spend = make(fcm=FcmSettings(**shared), fcm_kiosk=FcmSettings(**shared, rate_per_s=100.0, burst=100))
    assert [await spend(carrier=carrier) for carrier in (FCM, "fcm:kiosk", FCM)] == [0.0] * 3
    assert await spend(carrier="fcm:kiosk") == pytest.approx(1.0)


async def test_where_one_refuses_nothing_is_spent_of_the_others(make, clock):
    spend = make(fcm=FcmSettings(total_rate_per_s=1.0, total_burst=2, rate_per_s=1.0, burst=3, rate_per_user=("1/h",)))
    assert await spend() == 0.0
    for _ in range(10):
        assert await spend() >= 3600.0
    assert await spend(user="bob") == 0.0, "the provider has not heard of what its users were refused"
    assert await spend(user="eve") == pytest.approx(1.0)
    clock.move(1.0)
    assert await spend(user="eve") == 0.0, "eve's own rate was not touched while the provider refused"


async def test_a_decision_is_one_round_trip_whatever_there_is_to_ask(make):
    limits = FcmSettings(total_rate_per_s=9, rate_per_s=9, rate_per_user=("3/h", "9/d"), rate_per_device=("9/min", "99/h"))
    spend = make(fcm=limits)
    for _ in range(5):
        await spend()
    assert spend.rates._limits.decisions == 5


async def test_users_who_were_sent_away_are_forgotten(make, clock):
    spend = make(fcm=ProviderLimits(rate_per_user=("1/s",)))
    for number in range(500):
        for _ in range(3):
            await spend(user=f"user-{number}")
        clock.move(0.1)
    assert len(spend.rates._turns) < 60


_LANES = st.sampled_from([Lane.CRITICAL, Lane.NORMAL])


@given(st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from("xy"), _LANES, st.sampled_from([0.0, 0.3, 2.0])), max_size=40))
async def test_whoever_comes_back_when_told_finds_no_level_above_its_burst(calls):
    """Every call that was granted is written down; no window of any level ever holds more than its burst and its average."""
    clock = ManualClock()
    limits = FcmSettings(total_rate_per_s=2, total_burst=4, rate_per_user=("1/s burst 2",), rate_per_device=("2/min",))
    rates = Rates(MemoryLimits(clock), {FCM: limits}, clock)
    granted = []
    for user, device_id, lane, pause_s in calls:
        owned = f"{user}-{device_id}"
        if not await rates.spend(FCM, _Device(owned, user), lane):
            granted.append((clock.monotonic(), user, owned, lane))
        clock.move(pause_s)
    levels = [
        ([at for at, *_ in granted], 2.0, 4),
        *(([at for at, u, _, lane in granted if u == user and lane > 0], 1.0, 2) for user in "ab"),
        *(([at for at, _, d, _ in granted if d == f"{user}-{one}"], 2 / 60, 2) for user in "ab" for one in "xy"),
    ]
    for moments, per_s, burst in levels:
        for first in range(len(moments)):
            for last in range(first, len(moments)):
                assert last - first + 1 <= burst + (moments[last] - moments[first]) * per_s + 1e-6


class _Device:
    def __init__(self, id, user):
        self.id, self.user = id, user


# In the pipeline


async def test_a_user_who_had_enough_waits_as_a_row_and_holds_nobody(rig, device):
    rig.limits = {FCM: ProviderLimits(rate_per_user=("2/min",))}
    rig.ledger.register(device(FCM, id="of-ann"), device(FCM, id="of-bob", user="bob"))
    pipeline = await rig.start()
    hers = [rig.ledger.add(routes=PUSH) for _ in range(4)]
    his = rig.ledger.add(routes=PUSH, user="bob")
    await rig.quiet()
    assert rig.state(his) is State.EXHAUSTED
    assert [rig.state(one) for one in hers].count(State.EXHAUSTED) == 2
    statistics = pipeline.statistics()
    assert (statistics.held, statistics.under_way) == (0, 0), "nobody sleeps on it (N-14)"
    await rig.advance(29.0)
    assert len(rig.calls(FCM)) == 3
    await rig.advance(31.5)
    assert {rig.state(one) for one in hers} == {State.EXHAUSTED}
    assert [entry.attempt for one in hers for entry in rig.ledger.entries[one.id]] == [1] * 4, "waiting costs no try"


async def test_what_expires_while_it_waits_is_never_sent(rig, device):
    """N-8: and it is expired before a call is spent on it."""
    rig.limits = {FCM: ProviderLimits(rate_per_user=("1/h",))}
    rig.ledger.register(device(FCM))
    rig.ledger.add(routes=PUSH)
    late = rig.ledger.add(routes=PUSH, ttl_s=60.0)
    await rig.start()
    await rig.advance(62.0)
    assert rig.state(late) is State.EXPIRED
    assert len(rig.calls(FCM)) == 1


async def test_tells_what_a_carrier_goes_by(clock):
    settings = {"fcm": FcmSettings(rate_per_s=50.0, total_rate_per_s=30.0), "fcm:kiosk": ProviderLimits(rate_per_s=20.0)}
    rates = Rates(MemoryLimits(clock), settings, clock)
    assert [rates.per_s(name) for name in ("fcm", "fcm:kiosk", "apns")] == [30.0, 20.0, 0.0]
    rates.override({"fcm": 10.0, "apns": 5.0})
    assert [rates.per_s(name) for name in ("fcm", "fcm:kiosk", "apns")] == [10.0, 20.0, 5.0]
    rates.override({})
    assert rates.per_s("fcm") == 30.0
