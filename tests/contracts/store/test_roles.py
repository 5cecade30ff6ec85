"""Roles, who has them, and policies on every database, sentence by sentence of the ports."""

import pytest

from broker.errors import BadInput, NotFound
from broker.policies import Mode
from broker.roles import Role
from broker.rules import Subject
from broker.store.policies import SqlPolicies
from broker.store.roles import SqlRoles
from broker.store.store import Store
from config.clock import ManualClock

EDITOR = Role("editor", ("subscribe,publish docs:*",))


async def test_roles_are_kept_and_replaced(store: Store) -> None:
    assert await store.roles.set(EDITOR) == 1
    assert await store.roles.set(Role("admin", ())) == 2
    assert await store.roles.set(Role("editor", ("history docs:*",))) == 3
    assert await store.roles.all() == [Role("admin", ()), Role("editor", ("history docs:*",))]
    assert await store.rule_versions.versions() == {Subject.ROLES: 3}


async def test_there_are_not_too_many_roles(store: Store) -> None:
    roles = SqlRoles(store.roles._database, store.roles._trail, most=1)
    await roles.set(EDITOR)
    await roles.set(EDITOR)
    with pytest.raises(BadInput, match=r"^name: "):
        await roles.set(Role("other", ()))


async def test_users_have_roles(store: Store) -> None:
    await store.roles.assign("ann", "editor")
    await store.roles.assign("ann", "editor")
    await store.roles.assign("ann", "admin")
    assert await store.roles.assign("bob", "editor") == 4
    assert await store.roles.assignments() == {"ann": ("admin", "editor"), "bob": ("editor",)}
    assert await store.roles.unassign("ann", "admin") == 5
    assert await store.roles.assignments() == {"ann": ("editor",), "bob": ("editor",)}


async def test_a_removed_role_is_nobodys(store: Store) -> None:
    await store.roles.set(EDITOR)
    await store.roles.assign("ann", "editor")
    await store.roles.assign("ann", "kept")
    await store.roles.remove("editor")
    assert await store.roles.all() == []
    assert await store.roles.assignments() == {"ann": ("kept",)}


async def test_there_are_not_too_many_users_with_roles(store: Store) -> None:
    roles = SqlRoles(store.roles._database, store.roles._trail, most_assigned=1)
    await roles.assign("ann", "editor")
    await roles.assign("ann", "admin")
    with pytest.raises(BadInput, match=r"^user: "):
        await roles.assign("bob", "editor")
    with pytest.raises(BadInput, match=r"^user: "):
        await roles.assign("\0", "editor")


async def test_what_is_not_there_is_not_found(store: Store) -> None:
    for name in ("editor", "", "\0"):
        with pytest.raises(NotFound):
            await store.roles.remove(name)
        with pytest.raises(NotFound):
            await store.roles.unassign("ann", name)
        with pytest.raises(NotFound):
            await store.roles.unassign(name, "editor")
    assert await store.rule_versions.versions() == {}


async def test_erasing_a_user_takes_the_roles_along(store: Store) -> None:
    await store.roles.assign("ann", "editor")
    await store.erasure.erase("ann")
    assert await store.roles.assignments() == {}


async def test_the_newest_version_of_a_mode_counts(store: Store, clock: ManualClock) -> None:
    policies = store.policies
    assert await policies.newest(Mode.ENFORCED) is None
    assert await policies.put(b"{1}", Mode.ENFORCED, "first") == 1
    clock.move(5)
    assert await policies.put(b"{2}", Mode.DRY_RUN, "") == 2
    assert await policies.put(b"", Mode.ENFORCED, "none") == 3
    enforced, tried = await policies.newest(Mode.ENFORCED), await policies.newest(Mode.DRY_RUN)
    assert enforced is not None and (enforced.version, enforced.document, enforced.comment) == (3, b"", "none")
    assert tried is not None and (tried.version, tried.mode, tried.created_at) == (2, Mode.DRY_RUN, clock.now())
    assert (await policies.read(1)).document == b"{1}"
    listed = await policies.versions(limit=2)
    assert [(one.version, one.document) for one in listed] == [(3, b""), (2, b"")]
    assert await store.rule_versions.versions() == {Subject.POLICY: 3}


@pytest.mark.parametrize("version", [0, -1, 7, 2**40])
async def test_an_unknown_version_is_not_found(store: Store, version: int) -> None:
    with pytest.raises(NotFound):
        await store.policies.read(version)


async def test_old_versions_go(store: Store, clock: ManualClock) -> None:
    policies = SqlPolicies(store.policies._database, clock, store.policies._trail, kept=2)
    await policies.put(b"d", Mode.DRY_RUN, "")
    for number in range(4):
        await policies.put(b"%d" % number, Mode.ENFORCED, "")
    assert [one.version for one in await store.policies.versions(limit=10)] == [5, 4, 1]
