"""What waits in each lane: due, and in nobody's hands."""

from datetime import timedelta

from broker.notification import Lane


async def test_what_waits_is_counted_by_lane_up_to_a_limit(store, make_draft, clock):
    begun_at = clock.now()
    await store.ledger.accept(make_draft("ann", "bob", "cid"))
    clock.move(2)
    await store.ledger.accept(make_draft("dan", lane=Lane.CRITICAL))
    told = {one.lane: (one.waiting, one.oldest_due_at) for one in await store.backlog.lanes(limit=100)}
    assert told == {
        Lane.CRITICAL: (1, begun_at + timedelta(seconds=2)),
        Lane.HIGH: (0, None),
        Lane.NORMAL: (3, begun_at),
        Lane.BULK: (0, None),
    }
    assert [one.waiting for one in await store.backlog.lanes(limit=2)] == [1, 0, 2, 0]


async def test_what_somebody_works_on_does_not_wait(store, make_draft, clock):
    await store.ledger.accept(make_draft("ann", "bob"))
    await store.ledger.claim("worker", {Lane.NORMAL: 1}, lease_until=clock.now() + timedelta(seconds=30), paused=frozenset())
    assert {one.lane: one.waiting for one in await store.backlog.lanes(limit=100)}[Lane.NORMAL] == 1
    clock.move(31)
    assert {one.lane: one.waiting for one in await store.backlog.lanes(limit=100)}[Lane.NORMAL] == 2
