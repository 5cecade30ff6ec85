"""Reports of guards on every database."""

from typing import Any

from broker.deletion_guards import ClosedGuard
from broker.store.store import Store
from config.clock import ManualClock


async def test_what_is_reported_is_listed_until_it_is_taken_back(store: Store, clock: ManualClock) -> None:
    guards = store.deletion_guards
    apns, fcm = ClosedGuard("apns:kiosk", "w1", clock.now(), 7), ClosedGuard("fcm", "w2", clock.now(), 1)
    assert await guards.report("w2", [fcm]) == frozenset()
    assert await guards.report("w1", [apns]) == frozenset()
    assert await guards.closed() == [apns, fcm]
    await guards.report("w2", [])
    assert await guards.closed() == [apns]


async def test_an_operators_word_reaches_each_process_once(store: Store, clock: ManualClock) -> None:
    guards = store.deletion_guards
    for worker in ("w1", "w2"):
        await guards.report(worker, [ClosedGuard("apns", worker, clock.now(), 7), ClosedGuard("fcm", worker, clock.now(), 7)])
    assert await guards.trust("apns") == 2
    assert await guards.trust("webpush") == 0
    assert await guards.trust("no\0name") == 0
    assert await guards.report("w1", [ClosedGuard("apns", "w1", clock.now(), 8)]) == {"apns"}
    assert await guards.report("w1", [ClosedGuard("apns", "w1", clock.now(), 8)]) == frozenset(), "it may close again"
    assert [(guard.carrier, guard.worker) for guard in await guards.closed()] == [("apns", "w1"), ("apns", "w2"), ("fcm", "w2")]


async def test_a_process_that_died_is_forgotten(store: Store, clock: ManualClock, open_another: Any) -> None:
    await store.deletion_guards.report("dead", [ClosedGuard("apns", "dead", clock.now(), 7)])
    clock.move(61)
    another = await open_another()
    assert await another.deletion_guards.closed() == []
    assert await another.deletion_guards.trust("apns") == 0
