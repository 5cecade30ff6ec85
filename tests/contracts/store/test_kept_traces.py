"""A notification keeps the trace of its request, on every database; what is made of it keeps a link."""

import msgspec
import pytest

from broker.ledger import PlanDone
from broker.notification import Digest, Escalation
from broker.routing import Route, RoutePolicy
from broker.traces import NotificationTrace
from config.tracing import linked

ONE = f"00-{'a' * 32}-{'1' * 16}-01"
OTHER = f"00-{'b' * 32}-{'2' * 16}-01"


@pytest.fixture
def traced(make_draft):
    def make(trace, **more):
        return msgspec.structs.replace(make_draft(), trace=trace, **more)

    return make


async def test_a_worker_and_a_status_see_it(store, pipeline, traced, make_draft):
    (one,) = await store.ledger.accept(traced(ONE))
    assert (await pipeline.claim_one()).notification.trace == ONE
    assert (await store.ledger.status(one.id)).notification.trace == ONE
    await store.ledger.accept(make_draft("bob"))
    assert (await pipeline.claim_one()).notification.trace == ""


async def test_an_escalation_is_linked(store, pipeline, clock, traced):
    escalation = Escalation("bob", 300.0, RoutePolicy(((Route.PUSH,),)))
    await store.ledger.accept(traced(ONE, escalation=escalation))
    assert (await pipeline.claim_one()).notification.trace == ONE
    clock.move(300)
    told = {step.notification.user: step.notification.trace for step in await pipeline.claim()}
    assert told["bob"] == linked(ONE)


async def test_a_digest_is_linked_to_all_that_it_tells(store, pipeline, clock, traced):
    for trace in (ONE, "", OTHER):
        await store.ledger.accept(traced(trace, digest=Digest("posts", 60.0, "{count} posts")))
        clock.move(1)
    clock.move(60)
    step = await pipeline.claim_one()
    assert step.notification.trace == linked(ONE)
    await store.ledger.record([PlanDone(step, next_plan_at=clock.now(), closes=True)], [])
    assert (await pipeline.claim_one()).notification.trace == linked(ONE, OTHER)


async def test_traces_are_read_by_the_names_of_notifications(store, clock, traced, make_draft):
    then = clock.now()
    many = [one.id for one in await store.ledger.accept(traced(ONE, users=("ann", "bob")))]
    clock.move(1)
    (other,) = await store.ledger.accept(traced(OTHER))
    (untraced,) = await store.ledger.accept(make_draft("bob"))
    found = await store.traces.of([*many, other.id, untraced.id, "unknown", "a\0b"])
    expected = [*(NotificationTrace(id, ONE, then) for id in sorted(many)), NotificationTrace(other.id, OTHER, clock.now())]
    assert sorted(found, key=lambda one: one.notification_id) == expected
    assert list(await store.traces.of(["a\0b"])) == []
