"""The keys that issuers publish, on every database: a change is written down once."""

from collections.abc import Awaitable, Callable
from typing import Any

from sqlalchemy import update

from broker.audit import AuditFilter, AuditRecord
from broker.caller import Actor, ActorKind, Caller, bind_caller
from broker.store.published_keys_table import PUBLISHED_KEYS
from broker.store.store import Store


async def told(store: Store) -> list[AuditRecord]:
    await store.audit.settle()
    found, _ = await store.audit.search(AuditFilter(action="issuer_keys.*"), limit=10)
    return [one.record for one in sorted(found, key=lambda one: one.sequence)]


async def test_a_change_is_told_by_name_and_what_is_known_is_not(
    store: Store, open_another: Callable[[], Awaitable[Store]]
) -> None:
    bind_caller(Caller(Actor(ActorKind.USER, "ann"), "192.0.2.7", "websocket"))  # whose token made a node look
    note = store.published_keys.note
    assert await note("default", {"k1": "a", "": "n"})
    assert not await note("default", {"": "n", "k1": "a"})
    assert not await (await open_another()).published_keys.note("default", {"k1": "a", "": "n"}), "a node that starts"
    assert await note("default", {"k1": "b", "k2": "c", "k3": "d"})
    assert await note("login", {"k1": "a"}), "each issuer has its own"
    records = await told(store)
    assert [(one.act.action, one.act.resource, one.act.details) for one in records] == [
        ("issuer_keys.changed", "issuer:default", {"added": "(without kid), k1", "kids": 2}),
        (
            "issuer_keys.changed",
            "issuer:default",
            {"added": "k2, k3", "removed": "(without kid)", "replaced": "k1", "kids": 3},
        ),
        ("issuer_keys.changed", "issuer:login", {"added": "k1", "kids": 1}),
    ]
    assert {one.caller.actor.kind for one in records} == {ActorKind.SYSTEM}
    assert {one.act.user for one in records} == {""}


async def test_what_another_version_has_kept_otherwise_is_told_anew(store: Store) -> None:
    note = store.published_keys.note
    await note("default", {"k1": "a"})
    kept = update(PUBLISHED_KEYS).values(digests=b'{"k1": ["a"]}')
    await store.overrides._database.write(lambda connection: connection.execute(kept))  # type: ignore[attr-defined]  # (no port does)
    assert [await note("default", {"k1": "a"}) for _ in range(2)] == [True, False]


async def test_of_nodes_that_notice_it_together_one_tells_it(
    store: Store, open_another: Callable[[], Awaitable[Store]], together: Callable[..., Awaitable[list[Any]]]
) -> None:
    other = await open_another()
    for keys in ({"k1": "a"}, {"k2": "b"}):
        answers = await together(*(each.published_keys.note("default", keys) for each in (store, other, store, other)))
        assert sorted(answers) == [False, False, False, True]
    assert [one.act.details for one in await told(store)] == [
        {"added": "k1", "kids": 1},
        {"added": "k2", "removed": "k1", "kids": 1},
    ]
