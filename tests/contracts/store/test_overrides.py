"""Overrides on every database, sentence by sentence of the port."""

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

import pytest
from sqlalchemy import update

from broker.audit import AuditFilter
from broker.caller import Actor, ActorKind, Caller, bind_caller
from broker.errors import BadInput, NotFound
from broker.overrides import Kind, OverrideDraft, Value
from broker.rules import Subject
from broker.store.override_table import OVERRIDES
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


async def test_an_end_is_audited_once_whoever_notices_it_and_whenever(
    store: Store,
    open_another: Callable[[], Awaitable[Store]],
    clock: ManualClock,
    make: Callable[..., OverrideDraft],
    together: Callable[..., Awaitable[list[object]]],
) -> None:
    other = await open_another()
    for one in (
        make(Kind.MAINTENANCE, "", "back at ten"),
        make(),
        make(target="high", for_s=90),
        make(target="normal", for_s=600),
    ):
        await store.overrides.set(one)
    assert await store.overrides.end_past() == 0, "none has ended"
    set_at = clock.now()
    clock.move(60)
    await store.overrides.set(make(Kind.ONLY_CRITICAL))  # takes nobody's place, and notices what has ended
    clock.move(30)
    counts = await together(*(each.overrides.end_past() for each in (store, other, store, other)))
    assert sum(map(int, counts)) == 1, counts
    assert await other.overrides.end_past() == 0
    await store.audit.settle()
    found, _ = await store.audit.search(AuditFilter(action="override.ended"), limit=10)
    ended = {one.record.act.resource: one.record for one in found}
    assert sorted(one.record.act.resource for one in found) == [
        "override:maintenance",
        "override:pause_lane:bulk",
        "override:pause_lane:high",
    ]
    assert ended["override:maintenance"].act.details == {
        "value": "back at ten",
        "reason": "the sea is rough",
        "set_at": set_at.isoformat(timespec="seconds"),
        "expires_at": (set_at + timedelta(seconds=60)).isoformat(timespec="seconds"),
    }
    assert {one.caller.actor.kind for one in ended.values()} == {ActorKind.SYSTEM}


async def test_what_ends_while_its_place_is_taken_is_replaced_or_ended(
    store: Store, clock: ManualClock, make: Callable[..., OverrideDraft]
) -> None:
    class Running(ManualClock):
        @property
        def at(self) -> datetime:
            return super().now()

        def now(self) -> datetime:
            self.move(0.25)
            return self.at

    running, ends = Running(clock.now()), []
    overrides = SqlOverrides(store.overrides._database, running, store.overrides._trail)
    for looks in range(6):  # at the clock, until the former one ends
        former, _ = await overrides.set(make(for_s=(running.at - clock.now()).total_seconds() + 0.25 * looks))
        newer, _ = await overrides.set(make(for_s=600))
        ends.append(newer.set_at >= former.expires_at)
        await overrides.remove(Kind.PAUSE_LANE, "bulk")
    await store.audit.settle()
    ended, _ = await store.audit.search(AuditFilter(action="override.ended"), limit=10)
    assert (True in ends, False in ends, len(ended)) == (True, True, sum(ends))


async def test_a_kind_of_a_newer_version_ends_as_well(
    store: Store, clock: ManualClock, make: Callable[..., OverrideDraft]
) -> None:
    await store.overrides.set(make())
    changes = {"kind": "of_tomorrow", "value": b'{"from": ["now", "on"]}'}
    await store.overrides._database.write(lambda connection: connection.execute(update(OVERRIDES).values(changes)))  # type: ignore[attr-defined]
    clock.move(60)
    assert await store.overrides.end_past() == 1
    await store.audit.settle()
    (ended,), _ = await store.audit.search(AuditFilter(action="override.ended"), limit=10)
    assert (ended.record.act.resource, ended.record.act.details["value"]) == (
        "override:of_tomorrow:bulk",
        {"from": ["now", "on"]},
    )


async def test_an_end_that_another_causes_to_be_noticed_is_the_systems(
    store: Store, clock: ManualClock, make: Callable[..., OverrideDraft]
) -> None:
    bind_caller(Caller(Actor(ActorKind.API_KEY, "night-watch"), "192.0.2.7", "api"))
    await store.overrides.set(make())
    clock.move(60)
    await store.overrides.set(make())
    await store.audit.settle()
    found, _ = await store.audit.search(AuditFilter(action="override.*"), limit=10)
    told = [(one.record.act.action, one.record.caller.actor.kind) for one in sorted(found, key=lambda one: one.sequence)]
    by_key = ("override.set", ActorKind.API_KEY)
    assert told == [by_key, ("override.ended", ActorKind.SYSTEM), by_key], "the place was free before it was taken"
