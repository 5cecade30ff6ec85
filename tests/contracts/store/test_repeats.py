"""What is told once, on every database: contents that repeat, and newer ones that take an older one's place. N-7."""

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import pytest

from broker.errors import BadInput
from broker.ledger import NewSend, PlanDone, StepKind
from broker.notification import Digest, Draft, Escalation, Lane, Outcome, State, Variant
from broker.routing import RoutePolicy
from broker.store.store import Store

WINDOW_S = 60.0


@pytest.fixture
def once(make_draft: Callable[..., Draft]) -> Callable[..., Draft]:
    """Make a request whose content is told once within the window."""
    return lambda *users, **more: msgspec.structs.replace(make_draft(*users), **{"dedup_window_s": WINDOW_S} | more)


@pytest.fixture
def newer(make_draft: Callable[..., Draft]) -> Callable[..., Draft]:
    """Make a request that takes the place of older ones with its collapse key."""

    def make(*users: str, title: str = "Tide", key: str = "tide", **more: Any) -> Draft:
        draft = make_draft(*users, title=title, lane=more.pop("lane", Lane.NORMAL))
        content = msgspec.structs.replace(draft.content, collapse_key=key)
        return msgspec.structs.replace(draft, content=content, supersedes=True, **more)

    return make


async def state(store: Store, notification_id: str) -> State:
    return (await store.ledger.status(notification_id)).notification.state


async def test_the_same_is_told_once_within_the_window(store: Store, pipeline: Any, clock: Any, once: Any) -> None:
    (first,) = await store.ledger.accept(once("ann"))
    clock.move(WINDOW_S - 1)
    assert await store.ledger.accept(once("ann")) == (first,)
    assert len(await pipeline.claim()) == 1
    clock.move(1)
    (second,) = await store.ledger.accept(once("ann"))
    assert second.id != first.id
    assert await store.ledger.accept(once("ann")) == (second,), "the window begins with what was told"


async def test_users_are_told_apart(store: Store, pipeline: Any, once: Any) -> None:
    variants = (Variant("a", 1.0, title="A"), Variant("b", 1.0, title="B"))
    more = {"escalation": Escalation("boss", 60.0, RoutePolicy()), "experiment": "e", "variants": variants}
    (ben,) = await store.ledger.accept(once("ben", lane=Lane.CRITICAL, **more))
    answer = await store.ledger.accept(once("ann", "ben", "cid", lane=Lane.CRITICAL, **more))
    assert [one.user for one in answer] == ["ann", "ben", "cid"]
    assert answer[1] == ben
    steps = {step.notification.user: step.notification for step in await pipeline.claim()}
    assert {user: one.id for user, one in steps.items()} == {one.user: one.id for one in answer}
    pipeline.clock.move(60)
    escalated = {step.notification.terms.escalates for step in await pipeline.claim() if step.notification.user == "boss"}
    assert escalated == {one.id for one in answer}, "each has its own escalation still"


@pytest.mark.parametrize("field", ["title", "body", "category", "collapse_key", "data"])
async def test_what_differs_is_told(store: Store, once: Any, field: str) -> None:
    (first,) = await store.ledger.accept(once("ann"))
    draft = once("ann")
    value = msgspec.Raw(b'{"gauge":8}') if field == "data" else "another"
    other = msgspec.structs.replace(draft, content=msgspec.structs.replace(draft.content, **{field: value}))
    (second,) = await store.ledger.accept(other)
    assert first.id != second.id


async def test_who_does_not_ask_is_told_however_often(store: Store, pipeline: Any, make_draft: Any, once: Any) -> None:
    await store.ledger.accept(make_draft("ann"))
    await store.ledger.accept(make_draft("ann"))
    await store.ledger.accept(once("ann"))
    assert len(await pipeline.claim()) == 3


async def test_of_twins_one_is_told(
    store: Store, pipeline: Any, once: Any, together: Callable[..., Awaitable[list[Any]]]
) -> None:
    users = [f"user-{number}" for number in range(20)]
    answers = await together(*(store.ledger.accept(once(*users[turn:], *users[:turn])) for turn in range(6)))
    by_user = [{one.user: one.id for one in answer} for answer in answers]
    assert all(found == by_user[0] for found in by_user)
    assert len(await pipeline.claim()) == len(users)


async def test_a_key_keeps_the_answer_that_was_given(store: Store, once: Any) -> None:
    (first,) = await store.ledger.accept(once("ann"))
    answer = await store.ledger.accept(once("ann", "ben"), idempotency_key="k", fingerprint=b"f")
    assert answer[0] == first
    assert await store.ledger.accept(once("ann", "ben"), idempotency_key="k", fingerprint=b"f") == answer
    with pytest.raises(BadInput):
        await store.ledger.accept(once("ann", "ben"), idempotency_key="k", fingerprint=b"g")


async def test_a_repeat_joins_no_digest(store: Store, pipeline: Any, clock: Any, once: Any) -> None:
    for _ in range(3):
        await store.ledger.accept(once("ann", digest=Digest("k", 50.0, "{count} posts")))
    clock.move(50)
    step = await pipeline.claim_one()
    await store.ledger.record([PlanDone(step, next_plan_at=clock.now(), closes=True)], [])
    assert (await pipeline.claim_one()).notification.content.title == "1 posts"


async def test_a_newer_one_ends_what_is_pending_of_an_older(store: Store, pipeline: Any, newer: Any) -> None:
    device = await pipeline.register()
    (first,) = await store.ledger.accept(newer("ann", title="1:0"))
    plan = await pipeline.claim_one()
    await store.ledger.record([PlanDone(plan, sends=(NewSend(device, pipeline.clock.now()),))], [])
    (other,) = await store.ledger.accept(newer("ann", key="weather"))
    (second,) = await store.ledger.accept(newer("ann", title="2:0"))
    assert await state(store, first.id) is State.CANCELLED
    (line,) = (await store.ledger.status(first.id)).entries
    assert (line.outcome, line.detail) == (Outcome.CANCELLED, "a newer one took its place")
    assert store.ledger.is_ended(first.id), "a send that was claimed looks a last time"
    assert {step.notification.id for step in await pipeline.claim()} == {other.id, second.id}
    assert (await store.inbox.counts(["ann"]))[0].unseen == 2


async def test_what_has_ended_stays_as_it_is(store: Store, pipeline: Any, newer: Any) -> None:
    (first,) = await store.ledger.accept(newer("ann"))
    await store.ledger.record([PlanDone(await pipeline.claim_one(), finish=State.EXHAUSTED)], [])
    await store.ledger.accept(newer("ann"))
    assert await state(store, first.id) is State.EXHAUSTED


async def test_what_is_superseded_does_not_escalate(store: Store, pipeline: Any, clock: Any, newer: Any) -> None:
    escalation = Escalation("boss", 60.0, RoutePolicy())
    await store.ledger.accept(newer("ann", lane=Lane.CRITICAL, escalation=escalation))
    (second,) = await store.ledger.accept(newer("ann", lane=Lane.CRITICAL, escalation=escalation))
    clock.move(60)
    assert [step.notification.terms.escalates for step in await pipeline.claim()] == ["", second.id]


async def test_of_newer_twins_one_stays(
    store: Store, pipeline: Any, newer: Any, together: Callable[..., Awaitable[list[Any]]]
) -> None:
    users = [f"user-{number}" for number in range(20)]
    drafts = [newer(*users[turn:], *users[:turn], title=str(turn)) for turn in range(6)]
    await together(*(store.ledger.accept(draft) for draft in drafts))
    steps = await pipeline.claim(quota=200)
    assert sorted(step.notification.user for step in steps) == sorted(users)


async def test_what_is_remembered_goes_with_its_notification(store: Store, pipeline: Any, clock: Any, newer: Any) -> None:
    await store.ledger.accept(newer("ann", dedup_window_s=86400.0 * 7))
    await store.ledger.record([PlanDone(await pipeline.claim_one(), finish=State.EXHAUSTED)], [])
    clock.move(86400 * 2)
    await store.retention.sweep(before=clock.now(), limit=10)
    await store.ledger.accept(newer("ann", dedup_window_s=86400.0 * 7))
    assert (await pipeline.claim_one(StepKind.PLAN)).notification.user == "ann"
