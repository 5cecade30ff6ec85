"""What waits in each lane: due, and in nobody's hands."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, event, text

from broker.ledger import NewSend, PlanDone, StepKind
from broker.notification import Lane
from broker.store import backlog, campaigns
from broker.store.store import Store


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


async def test_decisions_alone_tell_how_far_a_lane_is_behind(store, pipeline, make_draft, clock):
    """N-33, N-10: what waits for a carrier holds up nobody else."""
    assert await store.backlog.undecided() == {}
    device = await pipeline.register()
    await store.ledger.accept(make_draft("ann"))
    plan = await pipeline.claim_one(StepKind.PLAN)
    await store.ledger.record([PlanDone(plan, sends=(NewSend(device, clock.now()),))], [])
    clock.move(3600)  # the carrier is paused: its delivery grows old
    assert (await store.backlog.lanes(limit=9))[Lane.NORMAL].waiting == 1
    assert await store.backlog.undecided() == {}
    begun_at = clock.now()
    await store.ledger.accept(make_draft("bob", lane=Lane.BULK))
    clock.move(5)
    await store.ledger.accept(make_draft("cid", lane=Lane.BULK))
    assert await store.backlog.undecided() == {Lane.BULK: begun_at}
    await pipeline.claim(1, lanes=[Lane.BULK])
    assert await store.backlog.undecided() == {Lane.BULK: begun_at + timedelta(seconds=5)}


_FILL = (
    "INSERT INTO drafts (id, lane, created_at, expires_at, body) VALUES ('d', 2, 0, 9, '')",
    "INSERT INTO notifications (id, draft_id, \"user\", state) SELECT 'n' || n, 'd', 'ann', 'pending' FROM numbers",
    "INSERT INTO steps (notification_id, device_id, lane, due_at, attempt, provider, expires_at) "
    "SELECT 'n' || n, CASE WHEN n > 4990 THEN '' ELSE 'x' END, 2, n, 0, CASE WHEN n > 4990 THEN '' ELSE 'fcm' END, 9 "
    "FROM numbers",
    "ANALYZE steps",
)
_NUMBERS = "WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 5000) "


@pytest.mark.parametrize(
    ("query", "index"),
    [
        (backlog._OLDEST_PLAN, "steps_of_plans"),
        (campaigns._DUE_PLANS, "steps_of_plans"),
        (campaigns._SENDS, "steps_of_sends"),
    ],
)
async def test_a_million_deliveries_of_a_paused_carrier_cost_nothing(store: Store, engine: str, query: Any, index: str) -> None:
    """Each question reads its own index alone, and no step that waits for somebody else."""
    asked = {"of_lane": int(Lane.NORMAL), "now": 10**6, "most": 100, "carriers": ["apns", "email"]}
    how = "EXPLAIN " if engine == "postgresql" else "EXPLAIN QUERY PLAN "

    def explained(connection: Connection) -> str:
        for statement in _FILL:
            connection.execute(text(statement.replace("SELECT", f"{_NUMBERS}SELECT", 1)))
        event.listen(connection, "before_cursor_execute", lambda *call: (f"{how}{call[2]}", call[3]), retval=True)
        return " / ".join(str(row[-1]) for row in connection.execute(query, asked).cursor.fetchall())

    plan = await store.backlog._database.write(explained)  # type: ignore[attr-defined]  # (no port explains)
    assert index in plan
    assert "Seq Scan" not in plan and "SCAN steps" not in plan
