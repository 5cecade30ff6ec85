"""Experiments on every database: who got which variant, and what they came to."""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from sqlalchemy import Connection, event, text

from broker.experiments import Counted, Pick, Place, VariantResult, add_up, assign
from broker.ledger import PlanDone, StepKind
from broker.notification import Digest, Draft, Entry, Escalation, Lane, Outcome, State, Variant
from broker.routing import RoutePolicy
from broker.store import experiments
from broker.store.store import Store

BLUE = Variant("blue", 1.0, title="Blue", body="sea")
RED = Variant("red", 1.0, title="Red")
USERS = tuple(f"user-{number}" for number in range(40))


@pytest.fixture
def compared(make_draft: Callable[..., Draft]) -> Draft:
    """A request that compares two wordings over forty users."""
    return msgspec.structs.replace(make_draft(*USERS), experiment="colours", variants=(BLUE, RED))


async def test_every_user_gets_their_variant_and_keeps_it_on_the_way(store: Store, pipeline: Any, compared: Draft) -> None:
    accepted = await store.ledger.accept(compared)
    meant = {user: assign("colours", user, (BLUE, RED)) for user in USERS}
    assert {one.name for one in meant.values()} == {"blue", "red"}
    steps = await pipeline.claim()
    assert len(steps) == len(USERS)
    for step in steps:
        notification = step.notification
        assert (notification.experiment, notification.variant) == ("colours", meant[notification.user].name)
        assert notification.content.title == meant[notification.user].title
        assert notification.content.body == meant[notification.user].body
        assert notification.content.category == compared.content.category
    status = await store.ledger.status(accepted[0].id)
    assert status.notification.variant == meant[USERS[0]].name


async def test_without_an_experiment_nobody_has_a_variant(store: Store, pipeline: Any, make_draft: Any) -> None:
    (accepted,) = await store.ledger.accept(make_draft())
    step = await pipeline.claim_one(StepKind.PLAN)
    assert (step.notification.experiment, step.notification.variant, step.notification.content.title) == ("", "", "Tide")
    assert (await store.ledger.status(accepted.id)).notification.variant == ""
    assert await store.experiments.results("") == ()


async def test_results_are_counted_by_variant(store: Store, pipeline: Any, compared: Draft, make_draft: Any) -> None:
    await store.ledger.accept(compared)
    await store.ledger.accept(msgspec.structs.replace(compared, experiment="colours2"))
    await store.ledger.accept(make_draft())
    steps = [step for step in await pipeline.claim(quota=200) if step.notification.experiment == "colours"]
    by_variant = {name: [step for step in steps if step.notification.variant == name] for name in ("blue", "red")}
    told = [*by_variant["blue"][:5], *by_variant["red"][:3]]
    for outcome in (Outcome.PUBLISHED, Outcome.ACCEPTED, Outcome.OFFLINE):
        now = pipeline.clock.now()
        done = [PlanDone(step, (Entry("live", outcome, now),), next_plan_at=pipeline.after(9)) for step in told]
        await store.ledger.record(done, [])
        told = told[:-1] if outcome is Outcome.PUBLISHED else told
    await store.ledger.acknowledge(by_variant["blue"][0].notification.id, by_variant["blue"][0].notification.user)
    untold = by_variant["red"][-1]
    await store.ledger.record([PlanDone(untold, (Entry("live", Outcome.OFFLINE, pipeline.clock.now()),), State.FAILED)], [])
    assert await store.experiments.results("colours") == (
        VariantResult("blue", len(by_variant["blue"]), 5, 1),
        VariantResult("red", len(by_variant["red"]), 3, 0),
    )
    assert await store.experiments.results("unknown") == ()
    assert await store.experiments.results("\0") == ()


async def test_pieces_come_to_what_the_whole_is(store: Store, pipeline: Any, compared: Draft) -> None:
    await store.ledger.accept(compared)
    await store.ledger.accept(msgspec.structs.replace(compared, experiment="colours2"))
    for step in (await pipeline.claim(quota=200))[::3]:
        await store.ledger.acknowledge(step.notification.id, step.notification.user)
    whole = await store.experiments.results("colours")
    assert sum(result.total for result in whole) == len(USERS)
    for limit in (1, 7, 20, 39, 40, 41):
        pieces, place = [], Place()
        while place is not None:
            counted = await store.experiments.count("colours", after=place, limit=limit)
            assert sum(result.total for result in counted.results) <= limit
            pieces, place = [*pieces, *counted.results], counted.then
        assert add_up(pieces) == whole
        assert len(pieces) >= len(USERS) / limit
    assert await store.experiments.count("unknown", after=Place(), limit=9) == Counted((), None)
    assert await store.experiments.count("\0", after=Place(), limit=9) == Counted((), None)


_FILL = (
    "INSERT INTO drafts (id, lane, created_at, expires_at, body) VALUES ('d', 2, 0, 9, '')",
    'INSERT INTO notifications (id, draft_id, "user", state, experiment, variant) '
    "SELECT 'n' || n, 'd', 'ann', 'pending', 'x', CASE WHEN n % 2 = 0 THEN 'a' ELSE 'b' END FROM numbers",
    "ANALYZE notifications",
)
_NUMBERS = "WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 5000) "


async def test_a_piece_is_read_along_an_index(store: Store, engine: str) -> None:
    """A look costs the same at the beginning of a million and at their end: nothing is sorted, and nothing passed over."""
    asked = {"experiment": "x", "after_variant": "a", "after_id": "n2000", "most": 100}
    how = "EXPLAIN " if engine == "postgresql" else "EXPLAIN QUERY PLAN "

    def explained(connection: Connection) -> list[str]:
        for statement in _FILL:
            connection.execute(text(statement.replace("SELECT", f"{_NUMBERS}SELECT", 1)))
        event.listen(connection, "before_cursor_execute", lambda *call: (f"{how}{call[2]}", call[3]), retval=True)
        return [str(row[-1]) for row in connection.execute(experiments._PIECE, asked).cursor.fetchall()]

    plan = await store.experiments._database.write(explained)  # type: ignore[attr-defined]  # (no port explains)
    if engine == "sqlite":
        assert "SEARCH notifications USING INDEX notifications_by_experiment (experiment=? AND (variant,id)>(?,?))" in plan
        return
    (at,) = [number for number, line in enumerate(plan) if "notifications_by_experiment" in line]
    assert "ROW(variant, id) > ROW(" in plan[at + 1]
    assert "Sort" not in " ".join(plan[:at])


async def test_the_control_group_is_told_nothing_and_counted(store: Store, pipeline: Any, make_draft: Any) -> None:
    """N-30: hold-out group."""
    variants = (BLUE, Variant("control", 1.0, is_holdout=True))
    held = {user for user in USERS if assign("colours", user, variants).is_holdout}
    assert 0 < len(held) < len(USERS)
    draft = msgspec.structs.replace(
        make_draft(*USERS, lane=Lane.CRITICAL),
        experiment="colours",
        variants=variants,
        escalation=Escalation("boss", 60.0, RoutePolicy()),
    )
    accepted = await store.ledger.accept(draft)
    assert [one.user for one in accepted] == list(USERS)
    assert {step.notification.user for step in await pipeline.claim()} == set(USERS) - held
    one = next(one for one in accepted if one.user in held)
    status = await store.ledger.status(one.id)
    assert (status.notification.state, status.notification.variant) == (State.HELD_OUT, "control")
    assert [entry.outcome for entry in status.entries] == [Outcome.HELD_OUT]
    assert (await store.inbox.counts([one.user]))[0].unseen == 0
    assert await store.ledger.acknowledge(one.id, one.user) is State.HELD_OUT
    assert await store.ledger.cancel(one.id) is State.HELD_OUT
    by_name = {result.variant: result for result in await store.experiments.results("colours")}
    assert by_name["control"] == VariantResult("control", len(held), 0, 0, is_control=True)
    pipeline.clock.move(60)
    escalated = [step.notification.terms.escalates for step in await pipeline.claim(quota=200)]
    assert len([id_ for id_ in escalated if id_]) == len(USERS) - len(held), "nobody is told of what nobody was to see"


async def test_the_control_group_is_in_no_digest(store: Store, pipeline: Any, make_draft: Any) -> None:
    variants = (BLUE, Variant("control", 1.0, is_holdout=True))
    draft = make_draft(*USERS)
    await store.ledger.accept(
        msgspec.structs.replace(draft, experiment="colours", variants=variants, digest=Digest("k", 60.0, "{count}"))
    )
    pipeline.clock.move(60)
    digests = {step.notification.user for step in await pipeline.claim()}
    assert digests == {user for user in USERS if not assign("colours", user, variants).is_holdout}


async def test_a_pick_is_kept_replaced_and_taken_back(store: Store) -> None:
    assert await store.experiments.pick_of("colours") is None
    await store.experiments.pick(Pick("colours", after=100, confidence=0.9))
    await store.experiments.pick(Pick("sizes", after=50))
    assert [pick.experiment for pick in await store.experiments.undecided(limit=9)] == ["colours", "sizes"]
    assert await store.experiments.undecided(limit=1) == [Pick("colours", after=100, confidence=0.9)]
    assert await store.experiments.undecided(after="colours", limit=9) == [Pick("sizes", after=50)]
    await store.experiments.pick(Pick("colours", "blue"))
    assert await store.experiments.pick_of("colours") == Pick("colours", "blue")
    assert await store.experiments.undecided(limit=9) == [Pick("sizes", after=50)]
    await store.experiments.take_back("colours")
    await store.experiments.take_back("colours")
    assert await store.experiments.pick_of("colours") is None


async def test_a_word_by_hand_wins_over_what_was_found_meanwhile(store: Store) -> None:
    undecided = Pick("colours", after=100)
    await store.experiments.pick(undecided)
    await store.experiments.pick(Pick("colours", "blue"))
    await store.experiments.decide(undecided, "red")
    assert await store.experiments.pick_of("colours") == Pick("colours", "blue")
    await store.experiments.pick(Pick("colours", after=200))
    await store.experiments.decide(undecided, "red")
    assert await store.experiments.pick_of("colours") == Pick("colours", after=200), "it is another question now"
    await store.experiments.decide(Pick("colours", after=200), "red")
    assert await store.experiments.pick_of("colours") == Pick("colours", "red", 200)
