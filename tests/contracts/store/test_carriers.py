"""Devices name an app, and steps the carrier that follows from it, on every database."""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from broker.devices import Registration
from broker.ledger import NewSend, PlanDone
from broker.notification import Draft, Provider
from broker.store.store import Store
from config.clock import ManualClock

KIOSK = Registration("ann", Provider.FCM, "token-of-the-kiosk", "android", app="kiosk")


async def test_the_app_is_kept_and_can_change(store: Store) -> None:
    first = await store.devices.register(KIOSK)
    assert (first.app, first.carrier) == ("kiosk", "fcm:kiosk")
    assert list(await store.devices.of_user("ann")) == [first]
    moved = await store.devices.register(msgspec.structs.replace(KIOSK, app=""))
    assert (moved.id, moved.app, moved.carrier) == (first.id, "", "fcm")
    assert list(await store.devices.of_user("ann")) == [moved]


@pytest.mark.parametrize(
    ("paused", "claimed"),
    [
        ({"fcm:kiosk"}, {"fcm"}),
        ({"fcm"}, {"fcm:kiosk"}),
        ({"fcm", "fcm:kiosk"}, set()),
        ({"apns", "fcm:other"}, {"fcm", "fcm:kiosk"}),
    ],
)
async def test_a_paused_app_is_left_alone_and_its_provider_is_not(
    store: Store,
    pipeline: Any,
    make_draft: Callable[..., Draft],
    clock: ManualClock,
    paused: set[str],
    claimed: set[str],
) -> None:
    devices = [await pipeline.register(), await store.devices.register(KIOSK)]
    await pipeline.ledger.accept(make_draft("ann"))
    plan = await pipeline.claim_one()
    sends = tuple(NewSend(device, pipeline.after(0)) for device in devices)
    await pipeline.ledger.record([PlanDone(plan, sends=sends)], [])
    due_at = await pipeline.ledger.next_due(paused=frozenset(paused))
    assert due_at == (clock.now() if claimed else None)
    steps = await pipeline.claim(paused=frozenset(paused))
    assert {step.device.carrier for step in steps} == claimed


@pytest.mark.parametrize("provider", [Provider.SMS, Provider.WEBHOOK])
async def test_the_newer_providers_are_stored_like_the_others(store: Store, provider: Provider) -> None:
    device = await store.devices.register(Registration("ann", provider, "+15005550006", "phone"))
    assert list(await store.devices.of_user("ann")) == [device]
    assert device.carrier == provider.value
