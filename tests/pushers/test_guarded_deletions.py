"""R15: a wrong key that makes a provider call every device gone costs a bounded number of them."""

from broker.notification import Lane, Outcome, Provider, Route, State
from config.operation_settings import DeletionGuardSettings
from config.settings import NotificationSettings
from pushers.outcome import Accepted, DropDevice


async def test_devices_are_kept_while_too_many_are_called_gone(rig, device):  # N-24
    rig.settings = NotificationSettings(deletion_guard=DeletionGuardSettings(least=5), concurrency=1)
    users = [f"user-{number}" for number in range(20)]
    rig.ledger.register(*(device(Provider.FCM, f"d-{user}", user) for user in users))
    rig.providers[Provider.FCM].default = DropDevice("UNREGISTERED", rig.clock.now())
    pipeline = await rig.start()
    sent = [rig.ledger.add(user=user, routes=(Route.PUSH,)) for user in users]
    await rig.quiet()

    assert len(rig.ledger.devices) == 15
    assert {rig.state(one) for one in sent} == {State.FAILED}
    outcomes = [rig.outcomes(one)[0][1] for one in sent]
    assert (outcomes.count(Outcome.UNREGISTERED), outcomes.count(Outcome.REFUSED)) == (5, 15)
    [(entry, *_)] = [rig.ledger.entries[one.id] for one in sent if rig.outcomes(one)[0][1] == Outcome.REFUSED][-1:]
    assert entry.detail == "UNREGISTERED; kept, since too many are called gone at once"
    closed = {guard.carrier for guard in pipeline.guards if guard.is_keeping}
    assert closed == {Provider.FCM}, "the others go on deleting"
    registry = pipeline.metrics.registry
    assert registry.get_sample_value("heliograph_deletion_guard", {"provider": "fcm"}) == 1
    assert registry.get_sample_value("heliograph_deletion_guard", {"provider": "apns"}) == 0

    rig.providers[Provider.FCM].default = Accepted()
    again = rig.ledger.add(user=users[-1], routes=(Route.PUSH,), lane=Lane.HIGH)
    await rig.quiet()
    assert rig.state(again) is State.EXHAUSTED, "who was kept is reached when the key is right"


async def test_deletion_goes_on_when_the_wave_is_over(rig, device):  # N-24
    rig.settings = NotificationSettings(deletion_guard=DeletionGuardSettings(least=5, window=60.0))
    users = [f"user-{number}" for number in range(20)]
    rig.ledger.register(*(device(Provider.FCM, f"d-{user}", user) for user in users))
    rig.providers[Provider.FCM].default = DropDevice("UNREGISTERED", rig.clock.now())
    await rig.start()
    for user in users:
        rig.ledger.add(user=user, routes=(Route.PUSH,))
    await rig.advance(70.0)
    left = len(rig.ledger.devices)
    rig.ledger.add(user=users[-1], routes=(Route.PUSH,))
    await rig.quiet()
    assert len(rig.ledger.devices) == left - 1
