"""Rates through the real limits of the memory engine."""

import pytest

from broker.engines.memory.limits import MemoryLimits
from broker.notification import Lane, Provider
from config.settings import ProviderLimits
from pushers.rates import Rates


@pytest.fixture
def rates(clock):
    return Rates(MemoryLimits(clock), {Provider.FCM: ProviderLimits(rate_per_s=10.0, burst=2)}, clock)


async def test_a_provider_without_a_rate_is_never_asked_about(rates, clock):
    unlimited = Rates(None, {Provider.FCM: ProviderLimits()}, clock)
    assert not unlimited.is_limited(Provider.FCM)
    assert [await unlimited.spend(Provider.FCM, Lane.BULK) for _ in range(100)] == [0.0] * 100
    assert await rates.spend(Provider.APNS, Lane.BULK) == 0.0


async def test_beyond_the_burst_each_is_sent_away_to_a_moment_of_its_own(rates):
    waits = [await rates.spend(Provider.FCM, Lane.BULK) for _ in range(6)]
    assert waits == pytest.approx([0.0, 0.0, 0.1, 0.2, 0.3, 0.4])


async def test_who_comes_back_at_that_moment_may_call(rates, clock):
    for _ in range(3):
        wait_s = await rates.spend(Provider.FCM, Lane.BULK)
    clock.move(wait_s)
    assert await rates.spend(Provider.FCM, Lane.BULK) == 0.0


async def test_critical_does_not_stand_behind_bulk(rates):
    for _ in range(50):
        await rates.spend(Provider.FCM, Lane.BULK)
    assert await rates.spend(Provider.FCM, Lane.CRITICAL) == pytest.approx(0.1)


async def test_moments_that_have_passed_are_not_waited_for(rates, clock):
    for _ in range(50):
        await rates.spend(Provider.FCM, Lane.BULK)
    clock.move(60.0)
    assert [await rates.spend(Provider.FCM, Lane.BULK) for _ in range(3)] == pytest.approx([0.0, 0.0, 0.1])
