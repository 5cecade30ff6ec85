"""Results are written together, kept while the store is away, and never stand in each other's way."""

import asyncio

import pytest

from broker.errors import StoreUnavailable
from broker.ledger import SendDone, StepKind
from config.clock import settle
from pushers.haste import Haste
from pushers.leases import Held
from pushers.passages import Passages
from pushers.recorder import Recorder


class Store:
    """Takes records; `fails` are raised first, one per call, and `gate` holds a call back."""

    def __init__(self):
        self.calls, self.fails = [], []
        self.gate = asyncio.Event()
        self.gate.set()

    async def record(self, plans, sends, passages=()):
        self.calls.append([done.step.lease for done in (*plans, *sends)])
        await self.gate.wait()
        if self.fails and (error := self.fails.pop(0)):
            raise error


@pytest.fixture
def haste(clock):
    return Haste(clock)


@pytest.fixture
async def shop(clock, step, haste):
    store, held, written = Store(), Held(), []
    passages = Passages(held, clock, few=0, on_few=lambda: None)
    told = lambda plans, sends: written.extend([*plans, *sends])  # noqa: E731
    recorder = Recorder(store, held, clock, bound=3, written=told, passages=passages, haste=haste)
    running = asyncio.create_task(recorder.run())

    def add(id, lease="l"):
        claimed = step(kind=StepKind.SEND, id=id, lease=lease)
        held.take(claimed)
        recorder.add_send(SendDone(claimed, None, clock.now()))

    yield store, held, recorder, written, add
    running.cancel()
    await asyncio.wait({running})


async def test_what_gathers_during_a_write_goes_into_the_next_one(shop):
    store, held, recorder, written, add = shop
    store.gate.clear()
    add("a", "1")
    await settle()
    add("b", "2")
    add("c", "3")
    store.gate.set()
    await recorder.drained()
    assert store.calls == [["1"], ["2", "3"]]
    assert len(written) == 3
    assert len(held) == 0


async def test_room_waits_while_too_much_is_unwritten(shop):
    store, _, recorder, _, add = shop
    store.gate.clear()
    for id_ in "abc":
        add(id_)
    waiting = asyncio.create_task(recorder.room())
    await settle()
    assert not waiting.done()
    assert len(recorder) == 3
    store.gate.set()
    await waiting


async def test_an_absent_store_gets_the_same_again_in_the_same_order(shop, clock):
    store, held, recorder, written, add = shop
    store.fails = [StoreUnavailable("away"), StoreUnavailable("away")]
    add("a", "1")
    add("b", "2")
    await settle()
    assert len(held) == 2
    assert written == []
    await clock.advance(1.0)
    assert store.calls == [["1", "2"]] * 3
    assert len(written) == 2
    assert len(recorder) == len(held) == 0


async def test_a_step_that_was_claimed_anew_is_written_under_its_new_lease(shop, clock, step):
    store, held, recorder, _, add = shop
    store.fails = [StoreUnavailable("away")]
    add("a", "old")
    await settle()
    assert not held.take(step(kind=StepKind.SEND, id="a", lease="new"))
    await clock.advance(1.0)
    assert store.calls == [["old"], ["new"]]
    assert len(recorder) == 0


async def test_one_that_cannot_be_written_is_left_to_its_lease(shop):
    store, held, recorder, written, add = shop
    store.fails = [RuntimeError("a bug"), RuntimeError("a bug"), None, StoreUnavailable("away")]
    for id_ in ("a", "b", "c"):
        add(id_, id_)
    await settle()
    assert [done.step.id for done in written] == ["b", "c"]
    assert store.calls == [["a", "b", "c"], ["a"], ["b"], ["c"], ["c"]]
    assert len(recorder) == len(held) == 0


async def test_in_haste_transactions_are_small(shop, haste):
    store, _, recorder, _, add = shop
    for is_on, sizes in ((False, [1, 400]), (True, [1, 75, 75, 75, 75, 75, 25])):
        store.calls.clear()
        if is_on:
            haste.begin()
            haste.end()
        store.gate.clear()
        add("first")
        await settle()
        for number in range(400):
            add(f"n-{number}")
        store.gate.set()
        await recorder.drained()
        assert [len(call) for call in store.calls] == sizes


async def test_at_rest_nothing_is_written(shop, haste):
    store, _, recorder, _, add = shop
    haste.begin()
    add("a", "1")
    await settle()
    assert store.calls == []
    haste.end()
    await recorder.drained()
    assert store.calls == [["1"]]
