"""Deliveries that are begun under the lease of the plan that asked for them, and written down together with it.

Opening a step for a delivery, claiming it, and then claiming the plan again costs two thirds of all that the store does for a
notification, and most deliveries are through after some milliseconds. So what a decision asks for at once is begun at once.
When all of it is through, what comes next is decided, and all is written in one stroke (`broker.ledger.Passage`). What takes
longer than `LINGER_S` is written down as it stands: then the steps of what is under way are opened, and go their ordinary way.
Where nothing has come about yet that anybody could know, it waits longer, `LONGEST_S` in all: a provider that is slow would
otherwise cost the store three times as much for each notification as one that is quick.

A passage ends by its last delivery, by time, or with the pipeline. A delivery that nobody tells of any more, because its
notification has ended or an error of ours has lost it, ends by time too, and its step's lease runs out like any other.
"""

from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from broker.bell import Bell
from broker.ledger import Passage, PlanDone, SendDone, Step, send_of
from config.clock import Clock
from pushers.leases import Held

__all__ = ["LINGER_S", "LONGEST_S", "Passages", "next_step"]

LINGER_S: Final = 1.0
LONGEST_S: Final = 10.0


class _Open:
    """A passage with deliveries under way."""

    __slots__ = ("deadline", "ends_by", "made", "plan", "under_way")

    def __init__(self, plan: PlanDone, under_way: dict[str, Step], now: float) -> None:
        self.plan, self.under_way = plan, under_way
        self.deadline, self.ends_by = now + LINGER_S, now + LONGEST_S
        self.made: list[SendDone] = []

    def tells_nothing(self, held: Held) -> bool:
        """Whether there is nothing to write but that it is under way, and all of that is."""
        plan = self.plan
        if self.made or plan.arrives or plan.closes or plan.tells is not None:
            return False
        return all(step_id in held for step_id in self.under_way)

    def as_it_stands(self) -> Passage:
        return Passage(self.plan, tuple(self.made), tuple(self.under_way.values()))


class Passages:
    """The passages of one process. Synchronous.

    Args:
        few: With so many open, or fewer, `on_few` is called when one is through.
    """

    def __init__(self, held: Held, clock: Clock, *, few: int, on_few: Callable[[], None]) -> None:
        self._held, self._clock, self._few, self._on_few = held, clock, few, on_few
        self._open: dict[str, _Open] = {}  # by notification, in the order of their deadlines
        self._through: list[Passage] = []
        self.any_through, self.any_open = Bell(clock), Bell(clock)

    def __len__(self) -> int:
        """Count those with deliveries under way."""
        return len(self._open)

    @property
    def are_many(self) -> bool:
        """Whether more are open than are few."""
        return len(self._open) > self._few

    def begin(self, plan: PlanDone) -> Sequence[Step]:
        """Open a passage; its deliveries are to be begun now.

        Returns:
            A step for each send, in their order; none where one is under way already, and the decision is to be recorded.
        """
        steps = {step.id: step for step in (send_of(plan.step, send.device) for send in plan.sends)}
        if any(step_id in self._held for step_id in steps):
            return ()
        for step in steps.values():
            self._held.take(step)
        self._open[plan.step.notification.id] = _Open(plan, steps, self._clock.monotonic())
        self.any_open.ring()
        return tuple(steps.values())

    def take(self, done: SendDone) -> bool:
        """Take the end of a delivery; False where it belongs to no open passage, and is to be recorded by itself."""
        notification_id = done.step.notification.id
        passage = self._open.get(notification_id)
        if passage is None or passage.under_way.pop(done.step.id, None) is None:
            return False
        self._held.drop(done.step)
        passage.made.append(done)
        if not passage.under_way:
            del self._open[notification_id]
            self._through.append(passage.as_it_stands())
            self.any_through.ring()
            if len(self._open) == self._few:
                self._on_few()
        return True

    def take_through(self) -> Sequence[Passage]:
        """Give out those whose deliveries are all made, each once."""
        through, self._through = self._through, []
        return through

    def take_lingering(self) -> Sequence[Passage]:
        """Give out those that are open for too long, each once: what is under way in them is a step of its own from now on."""
        now = self._clock.monotonic()
        late = []
        for notification_id, passage in self._open.items():
            if now < passage.deadline:
                break
            late.append(notification_id)
        lingering = []
        for notification_id in late:
            passage = self._open.pop(notification_id)
            if now < passage.ends_by and passage.tells_nothing(self._held):
                passage.deadline = now + LINGER_S
                self._open[notification_id] = passage  # behind all the others, as its deadline is
            else:
                lingering.append(passage.as_it_stands())
        return lingering

    def give_up(self) -> Sequence[Passage]:
        """Give out what there is to tell at the end. Of what has come to nothing yet the lease goes back, and that is all."""
        for passage in self._open.values():
            if not passage.made:
                self._held.drop(passage.plan.step)
        made = [passage.as_it_stands() for passage in self._open.values() if passage.made]
        self._open.clear()
        return [*self.take_through(), *made]


def next_step(passage: Passage) -> Step | None:
    """Make the plan's next step out of what is known; None where a delivery is to be tried again, and the plan rests."""
    if any(done.retry_at is not None for done in passage.made):
        return None
    plan = passage.plan
    lines = (done.entry for done in passage.made if done.entry is not None)
    gone = {done.step.id for done in passage.made if done.drop_device is not None}
    devices = plan.step.devices
    if gone:
        devices = tuple(device for device in devices if send_of(plan.step, device).id not in gone)
    entries = (*plan.step.entries, *plan.entries, *lines)
    return msgspec.structs.replace(plan.step, attempt=1, entries=entries, devices=devices)
