"""What links and pixels tell, on every database (N-29)."""

from collections.abc import Callable
from typing import Any

import pytest

from broker.confirmations import Mark
from broker.errors import NotFound
from broker.ledger import NewSend, PlanDone, SendDone, StepKind
from broker.notification import Draft, Entry, Outcome, Provider
from broker.store.store import Store
from broker.tracking import ClickedLink, Tracked
from config.clock import ManualClock


@pytest.fixture
async def notified(store: Store, make_draft: Callable[..., Draft]) -> str:
    (accepted,) = await store.ledger.accept(make_draft("ann"))
    return accepted.id


async def marks_of(store: Store, id: str) -> set[Mark]:
    return {marked.mark for marked in (await store.ledger.status(id)).marks}


async def test_a_click_ends_what_is_pending_and_counts(store: Store, pipeline: Any, clock: ManualClock, notified: str) -> None:
    first_at = clock.now()
    assert await store.tracking.clicked(notified, 2, "https://x.test/ä\0?") == Tracked("ann", (notified,))
    assert store.ledger.is_ended(notified)
    assert not await pipeline.claim()
    clock.move(60)
    assert await store.tracking.clicked(notified, 2, "https://x.test/other") == Tracked("ann"), "acknowledged before"
    await store.tracking.clicked(notified, 0, "https://x.test/own")
    assert list(await store.tracking.clicks_of(notified)) == [
        ClickedLink(0, "https://x.test/own", clock.now(), 1),
        ClickedLink(2, "https://x.test/ä?", first_at, 2),
    ]
    assert await marks_of(store, notified) == {Mark.SEEN, Mark.READ, Mark.CLICKED}


async def test_clicks_at_the_same_time_all_count(store: Store, together: Any, notified: str) -> None:
    told = await together(*(store.tracking.clicked(notified, 1, "https://x.test/") for _ in range(8)))
    assert sorted(one.acknowledged for one in told) == [()] * 7 + [(notified,)]
    assert [one.clicks for one in await store.tracking.clicks_of(notified)] == [8]


async def test_an_open_is_written_down_and_ends_nothing(store: Store, pipeline: Any, notified: str) -> None:
    assert await store.tracking.opened(notified, is_seen=False) == Tracked("ann")
    assert await marks_of(store, notified) == {Mark.OPENED}
    assert not store.ledger.is_ended(notified)
    assert (await store.inbox.counts(["ann"]))[0].unseen == 1
    assert len(await pipeline.claim()) == 1


async def test_an_open_that_counts_as_seen_ends_it(store: Store, pipeline: Any, notified: str) -> None:
    assert await store.tracking.opened(notified, is_seen=True) == Tracked("ann", (notified,))
    assert await marks_of(store, notified) == {Mark.OPENED, Mark.SEEN}
    assert store.ledger.is_ended(notified)
    assert not await pipeline.claim()


async def test_when_a_relay_took_it_is_known(store: Store, pipeline: Any, clock: ManualClock, notified: str) -> None:
    mailbox = await pipeline.register(provider=Provider.EMAIL)
    plan = await pipeline.claim_one(StepKind.PLAN)
    await pipeline.ledger.record([PlanDone(plan, sends=(NewSend(mailbox, clock.now()),))], [])
    assert await store.tracking.mailed_at(notified) is None
    send = await pipeline.claim_one(StepKind.SEND)
    taken = Entry("email", Outcome.ACCEPTED, pipeline.after(0), "email", "", mailbox.id)
    await pipeline.ledger.record([], [SendDone(send, taken, pipeline.after(0))])
    assert await store.tracking.mailed_at(notified) == clock.now()


@pytest.mark.parametrize("id", ["unknown", "a\0b"])
async def test_of_what_is_not_there_nothing_is_recorded(store: Store, id: str) -> None:
    for call in (
        store.tracking.clicked(id, 0, "https://x.test/"),
        store.tracking.opened(id, is_seen=True),
        store.tracking.clicks_of(id),
    ):
        with pytest.raises(NotFound):
            await call


async def test_what_is_erased_leaves_no_clicks(store: Store, notified: str) -> None:
    await store.tracking.clicked(notified, 1, "https://x.test/of-ann")
    removed = await store.erasure.erase("ann")
    assert removed["clicked_links"] == 1
