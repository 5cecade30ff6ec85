"""N-13: while credentials are refused the lane pauses, health says so, one call looks again, and nothing is dropped."""

import pytest
from structlog.testing import capture_logs

from broker.notification import Outcome, Provider, Route, State
from pushers.outcome import Accepted, ConfigPause

EVERY = tuple(Route)


@pytest.mark.parametrize("provider", Provider)
async def test_nothing_is_dropped_and_one_call_looks_again(rig, device, provider):
    refusing = rig.providers[provider]
    refusing.default = ConfigPause("403", after_s=60.0)
    rig.ledger.register(device(provider))
    sent = [rig.ledger.add(routes=(provider.route,)) for _ in range(30)]
    pipeline = await rig.start()
    before = len(refusing.calls)  # those that began before the first answer came
    assert pipeline.concerns() == [f"{provider} is paused: 403"]
    for probes, (wait_s, until_s) in enumerate(((66.5, 67), (132.5, 200), (264.5, 465)), start=1):
        await rig.advance(wait_s)
        assert len(refusing.calls) == before + probes, f"one call looks again by {until_s} s"
        assert pipeline.concerns() == [f"{provider} is paused: 403"]
    assert {rig.state(one) for one in sent} == {State.PENDING}
    assert rig.ledger.devices, "no device is to blame"
    refusing.default = Accepted()
    await rig.advance(560.0)
    await rig.advance(30.0)
    assert pipeline.concerns() == []
    assert {rig.state(one) for one in sent} == {State.EXHAUSTED}
    assert {rig.outcomes(one)[-1] for one in sent} == {(provider, Outcome.ACCEPTED)}
    assert {rig.ledger.entries[one.id][-1].attempt for one in sent} == {1}, "it cost no try"


async def test_it_is_told_as_an_alarm_once(rig, device):
    rig.providers[Provider.APNS].default = ConfigPause("InvalidProviderToken", after_s=60.0)
    rig.ledger.register(device(Provider.APNS))
    for _ in range(5):
        rig.ledger.add(routes=EVERY)
    with capture_logs() as logs:
        await rig.start()
        for _ in range(5):
            await rig.advance(500.0)
    told = [(line["event"], line["log_level"]) for line in logs if line["event"].startswith("provider.")]
    assert told[0] == ("provider.paused", "error")
    assert set(told[1:]) == {("provider.still_paused", "warning")}
    assert len(told) >= 3


async def test_what_recovered_and_fails_again_is_an_alarm_again(rig, device):
    apns = rig.providers[Provider.APNS]
    rig.ledger.register(device(Provider.APNS))
    with capture_logs() as logs:
        await rig.start()
        for _ in range(2):
            apns.script = [ConfigPause("InvalidProviderToken")]
            rig.ledger.add(routes=(Route.PUSH,))
            await rig.advance(70.0)
    told = [(line["event"], line["log_level"]) for line in logs if line["event"].startswith("provider.")]
    assert told == [("provider.paused", "error"), ("provider.resumed", "warning")] * 2
