"""What comes after passages that are through: one that cannot be followed up keeps none of the others from it."""

import asyncio
from datetime import timedelta

import pytest

from broker.errors import StoreUnavailable
from broker.ledger import NewSend, PlanDone, SendDone
from broker.notification import Entry, Outcome, State
from config.clock import settle
from pushers.follow_ups import FollowUps
from pushers.haste import Haste
from pushers.leases import Held
from pushers.passages import Passages


class Hall:
    """Passages that are followed up; the planner ends whatever it is asked about."""

    def __init__(self, clock):
        self.clock, self.written, self.fails_by = clock, [], None
        self.passages = Passages(Held(), clock, few=9, on_few=lambda: None)
        self.follow_ups = FollowUps(self.passages, self, self, clock, Haste(clock))

    async def decide(self, steps, turn):
        if self.fails_by is not None:
            raise self.fails_by
        return [PlanDone(step, finish=State.EXHAUSTED) for step in steps]

    def add_passages(self, passages):
        self.written += passages

    def go_through(self, plan, **more):
        """Begin a decision's delivery, and have it accepted."""
        (send,) = self.passages.begin(plan)
        now = self.clock.now()
        self.passages.take(SendDone(send, Entry("push", Outcome.ACCEPTED, now, device_id=send.device.id), now, **more))

    async def told(self):
        """Follow up; gives each notification's state after it, by id."""
        task = asyncio.create_task(self.follow_ups.run())
        await settle()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return {one.plan.step.notification.id: one.then and one.then.finish for one in self.written}


@pytest.fixture
def hall(clock):
    return Hall(clock)


@pytest.fixture
def decided(step, device, notification, clock):
    def make(name, *devices):
        plan = step(notification(id=name), id=name, devices=devices)
        return PlanDone(plan, sends=(NewSend(device(id=f"d-{name}"), clock.now()),))

    return make


async def test_each_is_written_with_what_comes_next(hall, decided):
    for name in "ab":
        hall.go_through(decided(name))
    assert await hall.told() == {"a": State.EXHAUSTED, "b": State.EXHAUSTED}


async def test_one_that_cannot_be_followed_up_stops_no_other(hall, decided):
    hall.go_through(decided("a"))
    hall.go_through(decided("b", None), drop_device=hall.clock.now())  # a device that is none: it cannot be left out
    hall.go_through(decided("c"))
    assert await hall.told() == {"a": State.EXHAUSTED, "b": None, "c": State.EXHAUSTED}


async def test_what_is_tried_again_is_written_without_a_decision(hall, decided):
    hall.go_through(decided("a"), retry_at=hall.clock.now() + timedelta(seconds=1))
    assert await hall.told() == {"a": None}


@pytest.mark.parametrize("error", [StoreUnavailable("away"), ValueError("ours")])
async def test_what_was_made_is_written_where_nothing_can_be_decided(hall, decided, error):
    hall.fails_by = error
    hall.go_through(decided("a"))
    assert await hall.told() == {"a": None}
