"""The devices keep what their port says, on every database."""

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import pytest

from broker.devices import MAX_DEVICES, DeviceFilter, Registration
from broker.errors import BadInput
from broker.notification import Device, Provider
from broker.store.store import Store
from config.clock import ManualClock

PHONE = Registration("ann", Provider.FCM, "token-of-the-phone", "android", "de", "Europe/Berlin")


async def fill(store: Store, user: str, count: int) -> None:
    for number in range(count):
        await store.devices.register(Registration(user, Provider.FCM, f"{user}-{number}", "android"))


async def test_what_is_registered_is_listed(store: Store, clock: ManualClock) -> None:
    device = await store.devices.register(PHONE)
    assert device == Device(device.id, "ann", Provider.FCM, PHONE.token, "android", clock.now(), "de", "Europe/Berlin")
    assert list(await store.devices.of_user("ann")) == [device]


async def test_they_are_listed_oldest_first(store: Store, clock: ManualClock) -> None:
    devices = []
    for provider in (Provider.WEBPUSH, Provider.APNS, Provider.EMAIL, Provider.FCM):
        devices.append(await store.devices.register(Registration("ann", provider, "the same token", "any")))
        clock.move(0.000001)
    assert list(await store.devices.of_user("ann")) == devices


async def test_the_same_address_keeps_its_id_and_is_renewed(store: Store, clock: ManualClock) -> None:
    first = await store.devices.register(PHONE)
    clock.move(60)
    second = await store.devices.register(msgspec.structs.replace(PHONE, platform="tablet", locale="", timezone="UTC"))
    assert second == Device(first.id, "ann", Provider.FCM, PHONE.token, "tablet", clock.now(), "", "UTC")
    assert list(await store.devices.of_user("ann")) == [second]


async def test_registering_for_another_user_moves_it(store: Store) -> None:
    first = await store.devices.register(PHONE)
    second = await store.devices.register(msgspec.structs.replace(PHONE, user="bob"))
    assert second.id == first.id
    assert list(await store.devices.of_user("ann")) == []
    assert list(await store.devices.of_user("bob")) == [second]


async def test_the_same_token_at_another_provider_is_another_device(store: Store) -> None:
    first = await store.devices.register(PHONE)
    second = await store.devices.register(msgspec.structs.replace(PHONE, provider=Provider.APNS))
    assert first.id != second.id


async def test_a_user_has_at_most_so_many(store: Store) -> None:
    await fill(store, "ann", MAX_DEVICES)
    with pytest.raises(BadInput) as refused:
        await store.devices.register(PHONE)
    assert (refused.value.field, str(MAX_DEVICES) in refused.value.rule) == ("user", True)
    assert len(await store.devices.of_user("ann")) == MAX_DEVICES


async def test_a_full_user_may_renew_and_exchange(store: Store) -> None:
    await fill(store, "ann", MAX_DEVICES)
    renewed = await store.devices.register(Registration("ann", Provider.FCM, "ann-7", "android"))
    assert await store.devices.remove("ann", renewed.id)
    await store.devices.register(PHONE)


async def test_the_devices_of_others_do_not_count_but_cannot_be_moved_to_a_full_user(store: Store) -> None:
    await fill(store, "ann", MAX_DEVICES)
    other = await store.devices.register(msgspec.structs.replace(PHONE, user="bob"))
    with pytest.raises(BadInput):
        await store.devices.register(PHONE)
    assert list(await store.devices.of_user("bob")) == [other]


async def test_no_crowd_gets_past_the_limit(
    store: Store, open_another: Callable[[], Awaitable[Store]], together: Callable[..., Awaitable[list[Any]]]
) -> None:
    await fill(store, "ann", MAX_DEVICES - 2)
    stores = [store, await open_another()] * 4
    crowd = (Registration("ann", Provider.FCM, f"new-{number}", "android") for number in range(8))
    answers = await together(*(one.devices.register(new) for one, new in zip(stores, crowd, strict=True)))
    assert sum(isinstance(answer, BadInput) for answer in answers) == 6
    assert len(await store.devices.of_user("ann")) == MAX_DEVICES


async def test_the_same_address_at_the_same_time_is_one_device(
    store: Store, open_another: Callable[[], Awaitable[Store]], together: Callable[..., Awaitable[list[Any]]]
) -> None:
    stores = [store, await open_another()] * 4
    registrations = [msgspec.structs.replace(PHONE, user=f"user-{number}") for number in range(8)]
    devices = await together(*(one.devices.register(new) for one, new in zip(stores, registrations, strict=True)))
    assert len({device.id for device in devices}) == 1
    owners = [user for user in (f"user-{number}" for number in range(8)) if await store.devices.of_user(user)]
    assert len(owners) == 1


async def test_removing_takes_it_from_the_list(store: Store) -> None:
    device = await store.devices.register(PHONE)
    assert await store.devices.remove("ann", device.id) is True
    assert list(await store.devices.of_user("ann")) == []
    assert await store.devices.remove("ann", device.id) is False


async def test_after_a_removal_the_address_gets_a_new_id(store: Store) -> None:
    device = await store.devices.register(PHONE)
    await store.devices.remove("ann", device.id)
    assert (await store.devices.register(PHONE)).id != device.id


@pytest.mark.parametrize("user", ["bob", "", "a\0nn", "ann\ud800"])
async def test_another_users_device_is_not_removed(store: Store, user: str) -> None:
    device = await store.devices.register(PHONE)
    assert await store.devices.remove(user, device.id) is False
    assert list(await store.devices.of_user("ann")) == [device]
    assert list(await store.devices.of_user(user)) == []


async def test_a_long_token_is_kept_whole(store: Store) -> None:
    token = "fcm:" + "Ab9_" * 1023
    device = await store.devices.register(msgspec.structs.replace(PHONE, token=token))
    assert (await store.devices.of_user("ann"))[0].token == device.token == token


async def test_a_name_that_cannot_be_kept_is_refused(store: Store) -> None:
    with pytest.raises(BadInput) as refused:
        await store.devices.register(msgspec.structs.replace(PHONE, user="a\0nn"))
    assert refused.value.field == "user"


async def test_a_filter_means_those_that_meet_every_rule(store: Store) -> None:
    made = [
        await store.devices.register(Registration(user, provider, f"{user}-{provider}", platform))
        for user, provider, platform in (
            ("ann", Provider.FCM, "android"),
            ("ann", Provider.EMAIL, "email"),
            ("bob", Provider.FCM, "tv"),
        )
    ]
    phone, mail, tv = made
    for wanted, meant in (
        (DeviceFilter(), made),
        (DeviceFilter(users=("ann",)), [phone, mail]),
        (DeviceFilter(providers=("fcm",)), [phone, tv]),
        (DeviceFilter(users=("ann", "bob"), providers=("fcm",), platforms=("tv",)), [tv]),
        (DeviceFilter(ids=(mail.id, tv.id), users=("ann",)), [mail]),
        (DeviceFilter(users=("a\0nn", "ann\ud800")), []),
    ):
        assert list(await store.devices.find(wanted, limit=10)) == sorted(meant, key=lambda device: device.id)
        assert await store.devices.count(wanted) == len(meant)


async def test_what_is_found_comes_in_pages(store: Store) -> None:
    await fill(store, "ann", 7)
    everybody = DeviceFilter()
    whole = list(await store.devices.find(everybody, limit=100))
    assert [device.id for device in whole] == sorted(device.id for device in whole)
    paged, after = [], ""
    while page := await store.devices.find(everybody, after=after, limit=3):
        assert len(page) <= 3
        paged += page
        after = page[-1].id
    assert paged == whole
    assert list(await store.devices.find(everybody, after="a\0", limit=3)) == []


async def test_a_filter_removes_what_it_means(store: Store) -> None:
    await fill(store, "ann", 3)
    await fill(store, "bob", 2)
    one = (await store.devices.of_user("bob"))[0]
    assert await store.devices.remove_all(DeviceFilter(users=("ann", "nobody"))) == 3
    assert await store.devices.remove_all(DeviceFilter(users=("ann",))) == 0
    assert await store.devices.remove_all(DeviceFilter(ids=(one.id, "unknown"), users=("bob",))) == 1
    assert await store.devices.remove_all(DeviceFilter(users=("a\0",))) == 0
    assert await store.devices.count(DeviceFilter()) == 1


async def test_a_filter_without_a_rule_removes_nothing(store: Store) -> None:
    await fill(store, "ann", 1)
    with pytest.raises(AssertionError):
        await store.devices.remove_all(DeviceFilter())
    assert await store.devices.count(DeviceFilter()) == 1
