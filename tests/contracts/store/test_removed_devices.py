"""Devices that providers called gone, on every database: set aside, restored, let go (N-24, N-25)."""

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any

import pytest

from broker.devices import MAX_DEVICES, DeviceFilter, Registration
from broker.errors import BadInput, NotFound
from broker.ledger import NewSend, PlanDone, SendDone, StepKind
from broker.notification import Device, Entry, Outcome, Provider
from broker.removed_devices import RemovedDevice, RemovedFilter
from broker.store.store import Store
from config.clock import ManualClock

Drop = Callable[..., Awaitable[None]]
ALL = RemovedFilter()


@pytest.fixture
def drop(store: Store, pipeline: Any, make_draft: Any, clock: ManualClock) -> Drop:
    """Have a provider call devices of one user gone, as of now or of a moment, in one record."""

    async def drop(*devices: Device, as_of: datetime | None = None, meanwhile: Any = None) -> None:
        await store.ledger.accept(make_draft(devices[0].user))
        plan = await pipeline.claim_one()
        now = clock.now()
        await store.ledger.record([PlanDone(plan, sends=tuple(NewSend(one, now) for one in devices))], [])
        steps = await pipeline.claim()
        assert {step.kind for step in steps} == {StepKind.SEND}
        if meanwhile is not None:
            await meanwhile()
        gone = [
            SendDone(
                step,
                Entry("push", Outcome.UNREGISTERED, now, "fcm", "tok…", step.device.id, 1, "UNREG\0ISTERED"),
                pipeline.after(3600),
                drop_device=as_of or now,
            )
            for step in steps
        ]
        await store.ledger.record([], gone)

    return drop


async def removed(store: Store, wanted: RemovedFilter = ALL) -> list[RemovedDevice]:
    return list((await store.removed_devices.find(wanted, limit=1000)).devices)


async def test_what_is_called_gone_is_nobodys_device_and_set_aside(
    store: Store, pipeline: Any, drop: Drop, clock: ManualClock
) -> None:
    phone, tablet = await pipeline.register(), await pipeline.register()
    await drop(phone)
    assert list(await store.devices.of_user("ann")) == [tablet]
    assert await removed(store) == [RemovedDevice(phone, clock.now(), "UNREGISTERED")]


async def test_a_later_registration_wins(store: Store, pipeline: Any, drop: Drop, clock: ManualClock) -> None:
    """N-25."""
    phone = await pipeline.register()
    registration = Registration("ann", Provider.FCM, phone.token, "android")
    as_of = clock.now()

    async def register_again() -> None:
        clock.move(1)
        await store.devices.register(registration)

    await drop(phone, as_of=as_of, meanwhile=register_again)
    assert [one.id for one in await store.devices.of_user("ann")] == [phone.id]
    assert await removed(store) == []


async def test_restored_it_is_as_it_was(store: Store, pipeline: Any, drop: Drop) -> None:
    phone = await pipeline.register()
    await drop(phone)
    assert await store.removed_devices.restore("ann", phone.id) == phone
    assert list(await store.devices.of_user("ann")) == [phone]
    assert await removed(store) == []
    await drop(phone)
    assert await store.devices.of_user("ann") == [], "a provider that rightly calls it gone has it removed again"


@pytest.mark.parametrize(("user", "of"), [("bob", ""), ("ann", "unknown"), ("a\0nn", ""), ("ann", "\ud800")])
async def test_only_a_users_own_can_be_restored(store: Store, pipeline: Any, drop: Drop, user: str, of: str) -> None:
    phone = await pipeline.register()
    await drop(phone)
    with pytest.raises(NotFound, match="removed device"):
        await store.removed_devices.restore(user, of or phone.id)
    assert len(await removed(store)) == 1


async def test_who_has_devices_enough_gets_none_back(store: Store, pipeline: Any, drop: Drop) -> None:
    phone, tablet = await pipeline.register(), await pipeline.register()
    await drop(phone, tablet)
    for _ in range(MAX_DEVICES - 1):
        await pipeline.register()
    page = await store.removed_devices.restore_all(ALL, limit=10)
    assert (page.restored, page.passed_over, page.next_cursor) == (1, 1, "")
    assert len(await store.devices.of_user("ann")) == MAX_DEVICES
    (left,) = await removed(store)
    with pytest.raises(BadInput) as refused:
        await store.removed_devices.restore("ann", left.device.id)
    assert refused.value.field == "user"
    assert await removed(store) == [left]


async def test_an_address_that_is_registered_again_is_not_kept(store: Store, pipeline: Any, drop: Drop) -> None:
    phone = await pipeline.register()
    await drop(phone)
    again = await store.devices.register(Registration("bob", Provider.FCM, phone.token, "android"))
    assert again.id != phone.id
    assert await removed(store) == []


async def test_what_a_user_removes_is_gone_for_good(store: Store, pipeline: Any, drop: Drop) -> None:
    phone, tablet, tv = [await pipeline.register() for _ in range(3)]
    await store.devices.remove("ann", phone.id)
    assert await removed(store) == []
    await drop(tablet)
    assert await store.devices.remove("bob", tablet.id) is False
    assert await store.devices.remove("ann", tablet.id) is True, "also where a provider called it gone before"
    assert await store.devices.remove("ann", tablet.id) is False
    await drop(tv)
    assert await store.devices.remove_all(DeviceFilter(users=("ann",))) == 0
    assert await removed(store) == []


async def test_erasure_leaves_nothing(store: Store, pipeline: Any, drop: Drop) -> None:
    await drop(await pipeline.register())
    assert (await store.erasure.erase("ann"))["removed_devices"] == 1
    assert await removed(store) == []


async def test_they_are_listed_and_restored_by_rule_in_pages(
    store: Store, pipeline: Any, drop: Drop, clock: ManualClock
) -> None:
    devices, began = [], clock.now()
    for _ in range(7):
        devices.append(await pipeline.register())
        await drop(devices[-1])
        clock.move(60)
    kiosk = await store.devices.register(Registration("bob", Provider.APNS, "token-of-bob", "ios", app="kiosk"))
    await drop(kiosk)

    async def ids(wanted: RemovedFilter) -> list[str]:
        return [one.device.id for one in await removed(store, wanted)]

    in_order = [device.id for device in (*devices, kiosk)]
    assert await ids(ALL) == in_order
    assert await ids(RemovedFilter(provider="apns")) == await ids(RemovedFilter(app="kiosk")) == [kiosk.id]
    assert await ids(RemovedFilter(app="")) == in_order[:7]
    assert await ids(RemovedFilter(user="bob")) == [kiosk.id]
    assert await ids(RemovedFilter(provider="f\0cm")) == await ids(RemovedFilter(provider="fcm", app="kiosk")) == []
    window = RemovedFilter(since=began + timedelta(seconds=60), until=began + timedelta(seconds=180))
    assert await ids(window) == in_order[1:3]

    paged, cursor = [], ""
    while True:
        page = await store.removed_devices.find(ALL, cursor=cursor, limit=3)
        paged += [one.device.id for one in page.devices]
        if not (cursor := page.next_cursor):
            break
    assert paged == in_order

    first = await store.removed_devices.restore_all(RemovedFilter(provider="fcm"), limit=5)
    assert (first.restored, bool(first.next_cursor)) == (5, True)
    second = await store.removed_devices.restore_all(RemovedFilter(provider="fcm"), cursor=first.next_cursor, limit=5)
    assert (second.restored, second.passed_over, second.next_cursor) == (2, 0, "")
    assert list(await store.devices.of_user("ann")) == devices
    assert await ids(ALL) == [kiosk.id]


@pytest.mark.parametrize("cursor", ["x", "12", "12 ", "-1 x", "1.5 x", "9999999999999999999 x", "12 a\0"])
async def test_a_cursor_that_no_page_gave_is_refused(store: Store, cursor: str) -> None:
    for ask in (store.removed_devices.find, store.removed_devices.restore_all):
        with pytest.raises(BadInput) as refused:
            await ask(ALL, cursor=cursor, limit=3)
        assert refused.value.field == "cursor"


async def test_what_is_old_is_let_go_the_oldest_first(store: Store, pipeline: Any, drop: Drop, clock: ManualClock) -> None:
    for _ in range(5):
        await drop(await pipeline.register())
        clock.move(60)
    assert await store.removed_devices.purge(before=clock.now() - timedelta(seconds=500), limit=10) == 0
    border = clock.now() - timedelta(seconds=60)
    assert [await store.removed_devices.purge(before=border, limit=3) for _ in range(3)] == [3, 1, 0]
    assert [one.removed_at for one in await removed(store)] == [border]


async def test_a_mass_is_set_aside_at_once_and_comes_back(store: Store, pipeline: Any, drop: Drop) -> None:
    devices = [await pipeline.register() for _ in range(MAX_DEVICES)]
    await drop(*devices)
    assert await store.devices.of_user("ann") == []
    assert (await store.removed_devices.restore_all(ALL, limit=1000)).restored == MAX_DEVICES
    assert list(await store.devices.of_user("ann")) == devices
