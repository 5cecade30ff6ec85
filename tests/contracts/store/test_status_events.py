"""Status events on every database: written with what makes them true, and given out in order (N-28)."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from broker.confirmations import Mark
from broker.ledger import NewSend, PlanDone, SendDone, StepKind
from broker.notification import Entry, Outcome, State
from broker.status_events import PendingEvent, StatusEvent
from broker.store.store import Store, open_store
from config.clock import ManualClock
from config.operation_settings import STATUS_EVENTS

DECODER = msgspec.json.Decoder(StatusEvent)
LEASE = timedelta(seconds=30)


@pytest.fixture
async def store(store_url: str, clock: ManualClock) -> AsyncIterator[Store]:
    opened = await open_store(store_url, clock=clock, events=frozenset(STATUS_EVENTS))
    yield opened
    await opened.close()


async def claim(store: Store, clock: ManualClock, limit: int = 100) -> list[PendingEvent]:
    return list(await store.status_events.claim(limit=limit, lease_until=clock.now() + LEASE))


def types(events: list[PendingEvent]) -> list[str]:
    return [DECODER.decode(event.body).type for event in events]


async def deliver_all(store: Store, clock: ManualClock) -> list[StatusEvent]:
    told = []
    while claimed := await claim(store, clock):
        told += [DECODER.decode(event.body) for event in claimed]
        await store.status_events.settle(delivered=claimed)
    return told


@pytest.fixture
async def sent(store: Store, pipeline: Any, make_draft: Any) -> Any:
    """A notification that was offline, accepted by a provider, and exhausted."""
    device = await pipeline.register()
    (one,) = await store.ledger.accept(make_draft())
    plan = await pipeline.claim_one()
    offline = Entry("live", Outcome.OFFLINE, pipeline.after(0))
    await store.ledger.record([PlanDone(plan, (offline,), sends=(NewSend(device, pipeline.after(0)),))], [])
    send = await pipeline.claim_one(StepKind.SEND)
    entry = Entry("push", Outcome.ACCEPTED, pipeline.after(0), "fcm", "tok…", device.id, 1, "projects/1")
    await store.ledger.record([], [SendDone(send, entry, pipeline.after(0))])
    await store.ledger.record([PlanDone(await pipeline.claim_one(), finish=State.EXHAUSTED)], [])
    return one


async def test_everything_is_told_once_and_in_order(store: Store, clock: ManualClock, sent: Any) -> None:
    told = await deliver_all(store, clock)
    assert [event.type for event in told] == ["delivery.offline", "delivery.accepted", "notification.exhausted"]
    accepted = told[1]
    assert (accepted.notification_id, accepted.user, accepted.category) == (sent.id, "ann", "water")
    assert (accepted.provider, accepted.address, accepted.attempt, accepted.detail) == ("fcm", "tok…", 1, "projects/1")
    assert (accepted.correlation_id, accepted.time) == ("request-1", clock.now().timestamp())
    assert len({event.id for event in told}) == 3
    assert await claim(store, clock) == []


async def test_one_event_of_a_notification_is_out_at_a_time(store: Store, clock: ManualClock, sent: Any) -> None:
    first = await claim(store, clock)
    assert types(first) == ["delivery.offline"]
    assert await claim(store, clock) == []
    await store.status_events.settle(retried=[(first[0], clock.now() + timedelta(seconds=10))])
    assert await claim(store, clock) == [], "the later ones wait with it"
    clock.move(10)
    (again,) = await claim(store, clock)
    assert (again.number, again.attempt, again.body) == (first[0].number, 2, first[0].body)
    await store.status_events.settle(given_up=[again])
    assert types(await claim(store, clock)) == ["delivery.accepted"], "what was given up holds nobody back"


async def test_a_lease_that_ran_out_goes_to_another(store: Store, clock: ManualClock, sent: Any) -> None:
    (first,) = await claim(store, clock)
    clock.move(31)
    (second,) = await claim(store, clock)
    assert second.number == first.number
    await store.status_events.settle(retried=[(first, clock.now())])
    assert await claim(store, clock) == [], "a stale word changes nothing"
    await store.status_events.settle(delivered=[second])
    assert types(await claim(store, clock)) == ["delivery.accepted"]


async def test_two_processes_never_share_a_notification(
    store: Store, open_another: Any, clock: ManualClock, pipeline: Any, make_draft: Any, together: Any
) -> None:
    await store.ledger.accept(make_draft(*(f"user-{number}" for number in range(30))))
    offline = Entry("live", Outcome.OFFLINE, pipeline.after(0))
    done = [PlanDone(step, (offline,), finish=State.FAILED) for step in await pipeline.claim()]
    await store.ledger.record(done, [])
    others = [store, *[await open_another() for _ in range(2)]]
    claims = await together(*(claim(one, clock, 10) for one in others for _ in range(2)))
    owners = [DECODER.decode(event.body).notification_id for claimed in claims for event in claimed]
    assert len(owners) == len(set(owners)) == 30


@pytest.mark.parametrize("how", ["ack", "mark", "mark_all", "cancel"])
async def test_whoever_ends_it_the_application_is_told(store: Store, clock: ManualClock, make_draft: Any, how: str) -> None:
    (one,) = await store.ledger.accept(make_draft())
    match how:
        case "ack":
            await store.ledger.acknowledge(one.id, "ann")
        case "mark":
            await store.inbox.mark("ann", [one.id], Mark.SEEN)
        case "mark_all":
            await store.inbox.mark_all("ann", Mark.SEEN)
        case "cancel":
            await store.ledger.cancel(one.id)
    for _ in range(2):  # again is no news
        await (store.ledger.cancel(one.id) if how == "cancel" else store.ledger.acknowledge(one.id, "ann"))
    (event,) = await deliver_all(store, clock)
    state = "cancelled" if how == "cancel" else "acknowledged"
    assert (event.type, event.notification_id, event.user) == (f"notification.{state}", one.id, "ann")


async def test_what_is_not_chosen_is_not_written(store_url: str, clock: ManualClock, make_draft: Any) -> None:
    for events in (frozenset[str](), frozenset({"delivery.accepted"})):
        store = await open_store(store_url, clock=clock, events=events)
        (one,) = await store.ledger.accept(make_draft())
        await store.ledger.cancel(one.id)
        assert await claim(store, clock) == []
        await store.close()


async def test_events_go_with_an_erased_user(store: Store, clock: ManualClock, sent: Any) -> None:
    assert (await store.erasure.erase("ann"))["status_events"] == 3
    assert await claim(store, clock) == []
