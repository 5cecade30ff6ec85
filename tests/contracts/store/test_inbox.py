"""Marks and inboxes keep what their ports say, on every database."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from broker.confirmations import RULES, Mark, Marked
from broker.errors import NotFound
from broker.inbox import COUNT_CAP, MAX_MARKED, InboxCounts, Shelf
from broker.ledger import NewSend, PlanDone, SendDone
from broker.notification import Draft, Entry, Outcome, State
from broker.store.store import Store
from config.clock import ManualClock

MakeDraft = Callable[..., Draft]
CONFIRMATIONS = [mark for mark in Mark if RULES[mark].ends]


@pytest.fixture
def arrive(store: Store, make_draft: MakeDraft, clock: ManualClock) -> Callable[..., Awaitable[list[str]]]:
    """Store notifications for a user, one after the other; gives their ids, oldest first."""

    async def arrive(number: int = 1, user: str = "ann", *, category: str = "water", inbox: bool = True) -> list[str]:
        ids = []
        for _ in range(number):
            draft = make_draft(user)
            content = msgspec.structs.replace(draft.content, category=category)
            (one,) = await store.ledger.accept(msgspec.structs.replace(draft, content=content, inbox=inbox))
            ids.append(one.id)
            clock.move(0.01)
        return ids

    return arrive


async def listed(store: Store, shelf: Shelf = Shelf.INBOX, user: str = "ann", **more: Any) -> list[str]:
    page = await store.inbox.page(user, shelf, limit=100, **more)
    assert page.next_cursor == ""
    return [entry.notification.id for entry in page.entries]


async def counted(store: Store, user: str = "ann") -> tuple[int, int]:
    (counts,) = await store.inbox.counts([user])
    return counts.unseen, counts.unread


class TestMarks:
    """`Ledger.acknowledge` with a mark: CONTRACT of acks, for all of them."""

    @pytest.mark.parametrize("mark", CONFIRMATIONS)
    async def test_each_ends_all_later_steps(self, pipeline: Any, make_draft: MakeDraft, mark: Mark) -> None:
        # N-3: an ack cancels atomically
        device = await pipeline.register()
        (one,) = await pipeline.ledger.accept(make_draft())
        plan = await pipeline.claim_one()
        await pipeline.ledger.record([PlanDone(plan, sends=(NewSend(device, pipeline.after(5)),))], [])
        assert await pipeline.ledger.acknowledge(one.id, "ann", mark) is State.ACKNOWLEDGED
        assert await pipeline.ledger.next_due() is None
        assert pipeline.ledger.is_ended(one.id)
        pipeline.clock.move(60)
        assert not await pipeline.claim()
        status = await pipeline.ledger.status(one.id)
        assert status.notification.state is State.ACKNOWLEDGED
        assert [(entry.route, entry.outcome) for entry in status.entries] == [("", Outcome.ACKNOWLEDGED)]
        assert status.entries[0].detail == ("" if mark is Mark.SEEN else mark.value)

    async def test_each_is_kept_with_its_first_moment(self, store: Store, arrive: Any, clock: ManualClock) -> None:
        (id,) = await arrive()
        first = clock.now()
        await store.ledger.acknowledge(id, "ann", Mark.SEEN)
        clock.move(1)
        await store.ledger.acknowledge(id, "ann", Mark.CLICKED)
        clock.move(1)
        await store.ledger.acknowledge(id, "ann", Mark.READ)
        later = first + timedelta(seconds=1)
        status = await store.ledger.status(id)
        assert status.marks == (Marked(Mark.SEEN, first), Marked(Mark.CLICKED, later), Marked(Mark.READ, later))
        assert [entry.outcome for entry in status.entries] == [Outcome.ACKNOWLEDGED]

    @pytest.mark.parametrize("mark", CONFIRMATIONS)
    async def test_of_anothers_or_of_nothing_is_not_found(self, store: Store, arrive: Any, mark: Mark) -> None:
        (id,) = await arrive()
        for named, user in ((id, "bob"), ("nothing", "ann"), ("", "ann"), ("a\0b", "ann"), (id, "a\0b")):
            with pytest.raises(NotFound):
                await store.ledger.acknowledge(named, user, mark)
        status = await store.ledger.status(id)
        assert (status.notification.state, status.entries, status.marks) == (State.PENDING, (), ())
        assert await counted(store) == (1, 1)

    async def test_after_an_end_it_is_kept_and_changes_no_state(self, pipeline: Any, arrive: Any) -> None:
        (expired,) = await arrive()
        plan = await pipeline.claim_one()
        line = Entry("", Outcome.EXPIRED, pipeline.after(0))
        await pipeline.ledger.record([PlanDone(plan, (line,), finish=State.EXPIRED)], [])
        assert await pipeline.ledger.acknowledge(expired, "ann", Mark.READ) is State.EXPIRED
        status = await pipeline.ledger.status(expired)
        assert [entry.outcome for entry in status.entries] == [Outcome.EXPIRED]
        assert [marked.mark for marked in status.marks] == [Mark.READ, Mark.SEEN]
        assert await counted(pipeline.store) == (0, 0)

    @pytest.mark.parametrize("finish", [State.EXHAUSTED, State.FAILED])
    async def test_a_late_one_is_still_told(self, pipeline: Any, arrive: Any, finish: State) -> None:
        (id,) = await arrive()
        await pipeline.ledger.record([PlanDone(await pipeline.claim_one(), finish=finish)], [])
        assert await pipeline.ledger.acknowledge(id, "ann", Mark.CLICKED) is State.ACKNOWLEDGED

    async def test_races_are_decided_once(
        self,
        store: Store,
        open_another: Callable[[], Awaitable[Store]],
        arrive: Any,
        together: Callable[..., Awaitable[list[Any]]],
    ) -> None:
        # R13: whoever comes first ends it; the others leave their marks
        stores = [store, await open_another()]
        for _ in range(5):
            (id,) = await arrive()
            answers = await together(
                *(stores[number % 2].ledger.acknowledge(id, "ann", mark) for number, mark in enumerate(CONFIRMATIONS)),
                *(one.inbox.mark_all("ann", Mark.READ) for one in stores),
                stores[1].inbox.mark("ann", [id], Mark.SEEN),
            )
            assert set(answers[: len(CONFIRMATIONS)]) == {State.ACKNOWLEDGED}
            told = [acknowledged for answer in answers[len(CONFIRMATIONS) :] for acknowledged in answer]
            assert told in ([], [id]), "by one of them at most"
            status = await store.ledger.status(id)
            assert [entry.outcome for entry in status.entries] == [Outcome.ACKNOWLEDGED]
            assert {marked.mark for marked in status.marks} == set(CONFIRMATIONS)

    async def test_a_send_under_way_only_writes_its_line(self, pipeline: Any, arrive: Any) -> None:
        device = await pipeline.register()
        (id,) = await arrive()
        plan = await pipeline.claim_one()
        await pipeline.ledger.record([PlanDone(plan, sends=(NewSend(device, pipeline.after(0)),))], [])
        (send,) = await pipeline.claim()
        await pipeline.store.inbox.mark_all("ann", Mark.SEEN)
        line = Entry("push", Outcome.ACCEPTED, pipeline.after(0))
        await pipeline.ledger.record([], [SendDone(send, line, pipeline.after(0))])
        status = await pipeline.ledger.status(id)
        assert status.notification.state is State.ACKNOWLEDGED
        assert {entry.outcome for entry in status.entries} == {Outcome.ACCEPTED, Outcome.ACKNOWLEDGED}
        assert not await pipeline.claim()


class TestPage:
    async def test_newest_first_and_only_ones_own(self, store: Store, arrive: Any) -> None:
        mine = await arrive(3)
        await arrive(1, "bob")
        assert await listed(store) == mine[::-1]

    async def test_a_notification_comes_whole(self, store: Store, arrive: Any) -> None:
        (id,) = await arrive()
        (entry,) = (await store.inbox.page("ann", Shelf.INBOX, limit=1)).entries
        assert entry.notification == (await store.ledger.status(id)).notification

    async def test_what_is_left_out_is_nowhere(self, store: Store, arrive: Any) -> None:
        (id,) = await arrive(inbox=False)
        for mark in (Mark.READ, Mark.UNREAD, Mark.ARCHIVED):
            for shelf in Shelf:
                assert await listed(store, shelf) == []
            assert await counted(store) == (0, 0)
            await store.inbox.mark("ann", [id], mark)
        assert (await store.ledger.status(id)).notification.state is State.ACKNOWLEDGED

    async def test_what_is_called_off_goes(self, store: Store, arrive: Any) -> None:
        gone, stays = await arrive(2)
        await store.ledger.cancel(gone)
        await store.ledger.acknowledge(gone, "ann")
        assert await listed(store) == [stays]
        assert await counted(store) == (1, 1)

    async def test_pages_meet_without_gap_or_double_while_more_comes(self, store: Store, arrive: Any) -> None:
        ids = await arrive(7)
        await store.inbox.mark("ann", ids[1:3], Mark.READ)
        await store.inbox.mark("ann", ids[4:5], Mark.SEEN)
        seen: list[str] = []
        cursor = ""
        for length in (3, 3, 1):
            page = await store.inbox.page("ann", Shelf.INBOX, cursor=cursor, limit=3)
            assert len(page.entries) == length
            seen += [entry.notification.id for entry in page.entries]
            cursor = page.next_cursor
            await arrive()
        assert cursor == ""
        assert seen == ids[::-1]

    async def test_a_full_last_page_says_that_nothing_follows(self, store: Store, arrive: Any) -> None:
        await arrive(3)
        assert (await store.inbox.page("ann", Shelf.INBOX, limit=3)).next_cursor == ""

    async def test_shelves(self, store: Store, arrive: Any) -> None:
        unseen, seen, read, archived = await arrive(4)
        await store.inbox.mark("ann", [seen], Mark.SEEN)
        await store.inbox.mark("ann", [read], Mark.READ)
        await store.inbox.mark("ann", [archived], Mark.ARCHIVED)
        assert await listed(store) == [read, seen, unseen]
        assert await listed(store, Shelf.UNSEEN) == [unseen]
        assert await listed(store, Shelf.UNREAD) == [seen, unseen]
        assert await listed(store, Shelf.ARCHIVED) == [archived]

    async def test_one_category_among_many(self, store: Store, make_draft: MakeDraft, arrive: Any, clock: ManualClock) -> None:
        (rare,) = await arrive(category="rare")
        draft = make_draft("ann")
        for _ in range(520):
            await store.ledger.accept(draft)
        first = await store.inbox.page("ann", Shelf.INBOX, category="rare", limit=2)
        assert first.entries == []
        second = await store.inbox.page("ann", Shelf.INBOX, category="rare", limit=2, cursor=first.next_cursor)
        assert [entry.notification.id for entry in second.entries] == [rare]
        assert second.next_cursor == ""
        water = await store.inbox.page("ann", Shelf.INBOX, category="water", limit=2)
        assert len(water.entries) == 2
        assert water.next_cursor == water.entries[-1].notification.id

    async def test_texts_that_cannot_name_anything(self, store: Store, arrive: Any) -> None:
        await arrive()
        for user, cursor in (("a\0b", ""), ("ann", "a\0b"), ("\ud800", "")):
            assert (await store.inbox.page(user, Shelf.INBOX, cursor=cursor, limit=1)).entries == ()
        assert await store.inbox.counts(["a\0b", "ann"]) == [InboxCounts(), InboxCounts(1, 1)]
        await store.inbox.mark_all("a\0b", Mark.READ)
        await store.inbox.mark("ann", ["a\0b"], Mark.READ)
        assert await counted(store) == (1, 1)


class TestMark:
    @pytest.mark.parametrize(
        ("marks", "counts"),
        [
            ([Mark.SEEN], (0, 1)),
            ([Mark.DISMISSED], (0, 1)),
            ([Mark.READ], (0, 0)),
            ([Mark.CLICKED], (0, 0)),
            ([Mark.ARCHIVED], (0, 0)),
            ([Mark.UNREAD], (1, 1)),
            ([Mark.READ, Mark.SEEN], (0, 0)),
            ([Mark.READ, Mark.UNREAD], (0, 1)),
            ([Mark.ARCHIVED, Mark.READ], (0, 0)),
            ([Mark.ARCHIVED, Mark.UNREAD], (0, 1)),
        ],
    )
    async def test_where_it_lies_after(self, store: Store, arrive: Any, marks: Sequence[Mark], counts: tuple[int, int]) -> None:
        (id,) = await arrive()
        for mark in marks:
            await store.inbox.mark("ann", [id], mark)
        assert await counted(store) == counts

    async def test_others_and_unknown_ones_are_passed_over(self, store: Store, arrive: Any) -> None:
        mine, (theirs,) = await arrive(2), await arrive(1, "bob")
        assert list(await store.inbox.mark("ann", [mine[0], theirs, "nothing", mine[0]], Mark.READ)) == [mine[0]]
        assert list(await store.inbox.mark("ann", [mine[0]], Mark.ARCHIVED)) == [], "it was acknowledged before"
        await store.inbox.mark("ann", [mine[0]], Mark.UNREAD)
        await store.inbox.mark("ann", [mine[0]], Mark.READ)
        assert await counted(store) == (1, 1)
        assert await counted(store, "bob") == (1, 1)
        assert (await store.ledger.status(theirs)).notification.state is State.PENDING

    async def test_unread_acknowledges_nothing(self, store: Store, arrive: Any) -> None:
        (id,) = await arrive()
        assert list(await store.inbox.mark("ann", [id], Mark.UNREAD)) == []
        assert list(await store.inbox.mark_all("ann", Mark.UNREAD)) == []
        status = await store.ledger.status(id)
        assert (status.notification.state, status.marks) == (State.PENDING, ())

    async def test_all_of_many(self, store: Store, make_draft: MakeDraft, arrive: Any, pipeline: Any) -> None:
        for _ in range(1100):
            await store.ledger.accept(make_draft("ann"))
        (archived,), (theirs,) = await arrive(), await arrive(1, "bob")
        await store.inbox.mark("ann", [archived], Mark.ARCHIVED)
        assert await counted(store) == (COUNT_CAP, COUNT_CAP)
        assert len(set(await store.inbox.mark_all("ann", Mark.SEEN))) == MAX_MARKED, "no more are told of"
        assert await counted(store) == (0, COUNT_CAP)
        assert list(await store.inbox.mark_all("ann", Mark.READ)) == []
        assert await counted(store) == (0, 0)
        steps = await pipeline.claim(2000)
        assert [step.notification.id for step in steps] == [theirs]
        await store.inbox.mark_all("ann", Mark.UNREAD)
        assert await listed(store, Shelf.ARCHIVED) == [archived]
        await store.inbox.mark_all("ann", Mark.ARCHIVED)
        assert await listed(store) == []

    async def test_whoever_is_erased_leaves_no_marks(self, store: Store, arrive: Any) -> None:
        (id,) = await arrive()
        await store.ledger.acknowledge(id, "ann", Mark.CLICKED)
        assert (await store.erasure.erase("ann"))["marks"] == 3
        assert await listed(store) == []
