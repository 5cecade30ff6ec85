"""Logins on every database: rotated by one of many, ended once, listed, and erased with their user."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest

from broker.audit import AuditFilter
from broker.errors import BadInput
from broker.store.store import Store
from broker.token_families import EndReason, TokenFamily
from config.clock import ManualClock

DAY = timedelta(days=1)


@pytest.fixture
def make_family(clock: ManualClock) -> Callable[..., TokenFamily]:
    """Make a login of ann's that has just begun."""

    def make(name: str = "f1", user: str = "ann", **more: Any) -> TokenFamily:
        now = clock.now()
        chosen = {"token_expires_at": now + DAY, "expires_at": now + 30 * DAY, "claims": b'{"info":{"n":1}}'} | more
        return TokenFamily(
            id=name,
            user=user,
            access_ttl_s=600.0,
            salt=b"\0salt",
            generation=1,
            digest=b"digest 1",
            created_at=now,
            rotated_at=now,
            **chosen,
        )

    return make


async def test_what_is_kept_is_found_as_it_was(store: Store, make_family: Callable[..., TokenFamily]) -> None:
    await store.token_families.open(make_family())
    assert await store.token_families.find("f1") == make_family()
    for unknown in ("f2", "", "a\0b", "x" * 5000, "\ud800"):
        assert await store.token_families.find(unknown) is None


async def test_of_many_who_rotate_one_does(
    store: Store,
    open_another: Callable[[], Awaitable[Store]],
    clock: ManualClock,
    make_family: Callable[..., TokenFamily],
    together: Any,
) -> None:
    family = make_family()
    other = await open_another()
    await store.token_families.open(family)
    clock.move(5)
    done = await together(
        *(
            one.token_families.rotate(family, b"by %d" % number, at=clock.now(), token_expires_at=clock.now() + DAY)
            for number, one in enumerate([store, other] * 5)
        )
    )
    assert sorted(done) == [False] * 9 + [True]
    found = await store.token_families.find("f1")
    assert found is not None
    assert (found.generation, found.digest) == (2, b"by %d" % done.index(True))
    assert (found.rotated_at, found.token_expires_at) == (clock.now(), clock.now() + DAY)


@pytest.mark.parametrize("days", [1, 40])
async def test_what_is_over_is_not_rotated(
    store: Store, clock: ManualClock, make_family: Callable[..., TokenFamily], days: int
) -> None:
    family = make_family(token_expires_at=clock.now() + days * DAY)
    await store.token_families.open(family)
    clock.move(min(days, 30) * 86400)
    assert not family.lives(clock.now())
    assert not await store.token_families.rotate(family, b"2", at=clock.now(), token_expires_at=clock.now() + DAY)


async def test_a_token_does_not_outlive_its_family(
    store: Store, clock: ManualClock, make_family: Callable[..., TokenFamily]
) -> None:
    family = make_family()
    await store.token_families.open(family)
    assert await store.token_families.rotate(family, b"2", at=clock.now(), token_expires_at=clock.now() + 300 * DAY)
    found = await store.token_families.find("f1")
    assert found is not None
    assert found.token_expires_at == family.expires_at


async def test_the_first_who_ends_it_says_why(
    store: Store, clock: ManualClock, make_family: Callable[..., TokenFamily]
) -> None:
    family = make_family()
    await store.token_families.open(family)
    ended_at = clock.now()
    first = await store.token_families.end("f1", EndReason.REUSED, at=ended_at)
    clock.move(60)
    again = await store.token_families.end("f1", EndReason.API, at=clock.now())
    assert first == again
    assert first is not None
    assert (first.ended_at, first.reason) == (ended_at, "reused")
    assert not await store.token_families.rotate(family, b"2", at=clock.now(), token_expires_at=clock.now() + DAY)
    assert await store.token_families.end("f2", EndReason.API, at=clock.now()) is None
    assert await store.token_families.end("a\0b", EndReason.API, at=clock.now()) is None


async def test_those_of_a_user_come_newest_first(
    store: Store, clock: ManualClock, make_family: Callable[..., TokenFamily]
) -> None:
    for number in range(3):
        await store.token_families.open(make_family(f"f{number}"))
        clock.move(1)
    await store.token_families.open(make_family("other", "ben"))
    assert [one.id for one in await store.token_families.of_user("ann", limit=2)] == ["f2", "f1"]
    assert await store.token_families.of_user("a\0b", limit=2) == []
    await store.token_families.end("f2", EndReason.API, at=clock.now())
    assert [one.id for one in await store.token_families.of_user("ann", limit=2, only_open=True)] == ["f1", "f0"]


async def test_those_whose_time_is_over_are_forgotten(
    store: Store, clock: ManualClock, make_family: Callable[..., TokenFamily]
) -> None:
    await store.token_families.open(make_family("old"))
    clock.move(86400)
    await store.token_families.open(make_family("new"))
    assert [one.id for one in await store.token_families.of_user("ann", limit=9)] == ["new"]


async def test_they_go_with_their_user(store: Store, make_family: Callable[..., TokenFamily]) -> None:
    await store.token_families.open(make_family())
    assert (await store.erasure.erase("ann"))["token_families"] == 1
    assert await store.token_families.find("f1") is None


@pytest.mark.parametrize("user", ["x" * 5000, "a\0b", "\ud800"])
async def test_a_user_who_cannot_be_stored_is_refused(store: Store, make_family: Callable[..., TokenFamily], user: str) -> None:
    with pytest.raises(BadInput, match="user"):
        await store.token_families.open(make_family(user=user))


async def test_beginning_and_end_are_audited_once(
    store: Store, clock: ManualClock, make_family: Callable[..., TokenFamily]
) -> None:
    await store.token_families.open(make_family())
    for reason in (EndReason.REUSED, EndReason.API):
        await store.token_families.end("f1", reason, at=clock.now())
    await store.audit.settle()
    found, _ = await store.audit.search(AuditFilter(resource="token_family:f1"), limit=9)
    acts = [(one.record.act.action, one.record.act.user, dict(one.record.act.details)) for one in found]
    assert sorted(acts) == [("token_family.ended", "ann", {"reason": "reused"}), ("token_family.opened", "ann", {})]
