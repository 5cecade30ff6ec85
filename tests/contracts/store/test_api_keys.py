"""Keys of the API on every database, sentence by sentence of the port."""

from datetime import timedelta

import msgspec
import pytest

from broker import api_keys
from broker.api_keys import ApiKey, ApiKeyGrant, hash_of, is_secret_of, make_key, split_key
from broker.audit import AuditFilter
from broker.errors import BadInput, NotFound
from broker.policies import Mode
from broker.roles import Role
from broker.rules import Subject
from broker.store.api_keys import SqlApiKeys
from broker.store.store import Store
from config.clock import ManualClock

GRANT = ApiKeyGrant("billing", "writer", ("publish", "device_*"), ("docs:*",), None, 10.0, 20)


def made(clock: ManualClock, name: str = "billing", **more: object) -> tuple[ApiKey, str]:
    key_id, text = make_key()
    split = split_key(text)
    assert split is not None
    grant = msgspec.structs.replace(GRANT, name=name, **more)
    return ApiKey(key_id, grant, hash_of(*split), clock.now()), split[1]


async def test_what_was_added_is_read_back(store: Store, clock: ManualClock) -> None:
    one, _ = made(clock, "one", expires_at=clock.now() + timedelta(days=1))
    two, _ = made(clock, "another")
    assert [await store.api_keys.add(one), await store.api_keys.add(two)] == [1, 2]
    assert await store.api_keys.all() == [two, one]
    assert await store.rule_versions.versions() == {Subject.API_KEYS: 2}


async def test_a_name_is_one_keys(store: Store, clock: ManualClock) -> None:
    await store.api_keys.add(made(clock)[0])
    with pytest.raises(BadInput, match=r"^name: is that of another key$"):
        await store.api_keys.add(made(clock)[0])
    assert len(await store.api_keys.all()) == 1
    assert await store.rule_versions.versions() == {Subject.API_KEYS: 1}  # nothing was changed


async def test_there_are_not_too_many(store: Store, clock: ManualClock) -> None:
    keys = SqlApiKeys(store.api_keys._database, store.api_keys._trail, most=2)
    for name in ("a", "b"):
        await keys.add(made(clock, name)[0])
    with pytest.raises(BadInput, match=r"^name: is one more than the 2 keys"):
        await keys.add(made(clock, "c")[0])


async def test_two_values_count_while_one_is_replaced(store: Store, clock: ManualClock) -> None:
    key, first = made(clock)
    await store.api_keys.add(key)
    second, third = (split_key(api_keys.renew_key(key.id)) for _ in range(2))
    assert second is not None and third is not None
    ends_at = clock.now() + timedelta(hours=1)
    assert await store.api_keys.rotate(key.id, hash_of(*second), at=clock.now(), previous_until=ends_at) == 2
    (kept,) = await store.api_keys.all()
    assert kept.rotated_at == clock.now()
    assert is_secret_of(kept, first, clock.now()) and is_secret_of(kept, second[1], clock.now())
    assert not is_secret_of(kept, first, ends_at)
    assert is_secret_of(kept, second[1], ends_at)
    await store.api_keys.rotate(key.id, hash_of(*third), at=clock.now(), previous_until=ends_at)
    (kept,) = await store.api_keys.all()
    assert [is_secret_of(kept, one, clock.now()) for one in (first, second[1], third[1])] == [False, True, True]


async def test_a_revoked_key_is_forgotten(store: Store, clock: ManualClock) -> None:
    key, _ = made(clock)
    await store.api_keys.add(key)
    assert await store.api_keys.revoke(key.id) == 2
    assert await store.api_keys.all() == []


@pytest.mark.parametrize("key_id", ["0" * 16, "", "\0"])
async def test_an_unknown_key_is_not_found(store: Store, clock: ManualClock, key_id: str) -> None:
    with pytest.raises(NotFound):
        await store.api_keys.revoke(key_id)
    with pytest.raises(NotFound):
        await store.api_keys.rotate(key_id, b"x", at=clock.now(), previous_until=clock.now())
    assert await store.rule_versions.versions() == {}


async def test_the_latest_use_counts(store: Store, clock: ManualClock) -> None:
    key, _ = made(clock)
    await store.api_keys.add(key)
    now = clock.now()
    for at in (now, now - timedelta(seconds=5), now + timedelta(seconds=5), now):
        await store.api_keys.note_use({key.id: at, "gone": at})
    (kept,) = await store.api_keys.all()
    assert kept.last_used_at == now + timedelta(seconds=5)
    assert await store.rule_versions.versions() == {Subject.API_KEYS: 1}  # a use is no change


async def test_no_secret_is_stored(store: Store, clock: ManualClock) -> None:
    key, secret = made(clock)
    await store.api_keys.add(key)
    (kept,) = await store.api_keys.all()
    assert secret not in repr(kept) and secret.encode() not in kept.hash


async def test_changes_are_audited(store: Store, clock: ManualClock) -> None:
    key, _ = made(clock)
    await store.api_keys.add(key)
    await store.api_keys.rotate(key.id, b"x", at=clock.now(), previous_until=clock.now())
    await store.api_keys.revoke(key.id)
    await store.roles.set(Role("editor", ("publish docs:*",)))
    await store.roles.assign("ann", "editor")
    await store.policies.put(b"{}", Mode.ENFORCED, "first")
    await store.audit.settle()
    found, _cursor = await store.audit.search(AuditFilter(), limit=20)
    assert [(one.record.act.action, one.record.act.resource) for one in reversed(found)] == [
        ("api_key.created", f"api_key:{key.id}"),
        ("api_key.rotated", f"api_key:{key.id}"),
        ("api_key.revoked", f"api_key:{key.id}"),
        ("role.set", "role:editor"),
        ("role.assigned", "role:editor"),
        ("policy.set", "policy:1"),
    ]
