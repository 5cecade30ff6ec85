"""Overrides on every database, sentence by sentence of the port."""

from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest

from broker.audit import AuditFilter
from broker.caller import Actor, ActorKind, Caller, bind_caller
from broker.errors import BadInput, NotFound
from broker.overrides import Kind, OverrideDraft, Value
from broker.rules import Subject
from broker.store.overrides import SqlOverrides
from broker.store.store import Store
from config.clock import ManualClock


@pytest.fixture
def make(clock: ManualClock) -> Callable[..., OverrideDraft]:
    def draft(kind: Kind = Kind.PAUSE_LANE, target: str = "bulk", value: Value = None, for_s: float = 60) -> OverrideDraft:
        return OverrideDraft(kind, target, value, "the sea is rough", clock.now() + timedelta(seconds=for_s))

    return draft


async def test_what_is_set_is_kept_until_its_end(store: Store, clock: ManualClock, make: Callable[..., OverrideDraft]) -> None:
    lane, version = await store.overrides.set(make())
    assert version == 1
    rate, version = await store.overrides.set(make(Kind.CARRIER_RATE, "fcm:shop", 2.5, 120))
    assert version == 2
    assert (rate.kind, rate.target, rate.value, rate.reason) == (Kind.CARRIER_RATE, "fcm:shop", 2.5, "the sea is rough")
    assert (rate.set_at, rate.expires_at) == (clock.now(), clock.now() + timedelta(seconds=120))
    assert list(await store.overrides.all()) == [rate, lane]
    clock.move(60)
    assert list(await store.overrides.all()) == [rate]
    clock.move(60)
    assert list(await store.overrides.all()) == []
    assert await store.rule_versions.versions() == {Subject.OVERRIDES: 2}


async def test_setting_it_again_takes_the_place_of_what_was_said(store: Store, make: Callable[..., OverrideDraft]) -> None:
    await store.overrides.set(make(Kind.MAINTENANCE, "", "back at ten"))
    newer, _ = await store.overrides.set(make(Kind.MAINTENANCE, "", "back at eleven", 90))
    assert list(await store.overrides.all()) == [newer]


async def test_it_is_there_for_whoever_opens_the_store_later(
    store: Store, open_another: Callable[[], Awaitable[Store]], make: Callable[..., OverrideDraft]
) -> None:
    kept = [
        (await store.overrides.set(one))[0]
        for one in (
            make(Kind.COMMAND_RATE, "n-1", 7.5),
            make(Kind.CONNECTION_LIMIT, "", 100),
            make(Kind.MAINTENANCE, "", "bis später"),
        )
    ]
    other = await open_another()
    assert sorted(await other.overrides.all(), key=lambda one: one.kind) == sorted(kept, key=lambda one: one.kind)


async def test_what_is_taken_back_is_gone(store: Store, clock: ManualClock, make: Callable[..., OverrideDraft]) -> None:
    await store.overrides.set(make())
    assert await store.overrides.remove(Kind.PAUSE_LANE, "bulk") == 2
    assert list(await store.overrides.all()) == []
    await store.overrides.set(make())
    clock.move(60)
    for kind, target in (
        (Kind.PAUSE_LANE, "bulk"),
        (Kind.PAUSE_LANE, "high"),
        (Kind.ONLY_CRITICAL, ""),
        (Kind.PAUSE_LANE, "\0"),
    ):
        with pytest.raises(NotFound, match="override not found"):
            await store.overrides.remove(kind, target)
    assert await store.rule_versions.versions() == {Subject.OVERRIDES: 3}


async def test_there_are_not_too_many(store: Store, clock: ManualClock, make: Callable[..., OverrideDraft]) -> None:
    overrides = SqlOverrides(store.overrides._database, clock, store.overrides._trail, most=2)
    await overrides.set(make(target="bulk"))
    await overrides.set(make(target="high", for_s=600))
    await overrides.set(make(target="bulk"))
    with pytest.raises(BadInput, match=r"^kind: "):
        await overrides.set(make(target="normal"))
    clock.move(60)  # which ends one
    await overrides.set(make(target="normal"))


@pytest.mark.parametrize("field", ["target", "reason"])
async def test_what_cannot_be_kept_is_refused(store: Store, clock: ManualClock, field: str) -> None:
    texts = {"target": "", "reason": "x"} | {field: "\0"}
    with pytest.raises(BadInput, match=f"^{field}: "):
        await store.overrides.set(OverrideDraft(Kind.REFUSE_CONNECTIONS, value=None, expires_at=clock.now(), **texts))
    assert await store.rule_versions.versions() == {}


async def test_each_change_is_audited_with_who_made_it(store: Store, make: Callable[..., OverrideDraft]) -> None:
    bind_caller(Caller(Actor(ActorKind.API_KEY, "night-watch"), "192.0.2.7", "api"))
    made, _ = await store.overrides.set(make(Kind.CARRIER_RATE, "fcm", 5))
    await store.overrides.remove(Kind.CARRIER_RATE, "fcm")
    assert made.set_by == "api_key:night-watch"
    await store.audit.settle()
    found, _ = await store.audit.search(AuditFilter(action="override.*"), limit=10)
    removed, changed = sorted(found, key=lambda one: -one.sequence)
    assert [one.record.act.action for one in (changed, removed)] == ["override.set", "override.removed"]
    assert {one.record.act.resource for one in found} == {"override:carrier_rate:fcm"}
    assert changed.record.act.details == {
        "value": 5,
        "reason": "the sea is rough",
        "expires_at": made.expires_at.isoformat(timespec="seconds"),
    }
    assert {one.record.caller.actor.name for one in found} == {"night-watch"}
