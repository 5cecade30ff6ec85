"""The checker says nothing of what is allowed, and finds every sort of fault that is put into a clean history."""

import random
from collections.abc import Callable

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtest.faults.checker import Kind, check
from loadtest.faults.events import (
    Acked,
    Answered,
    Asked,
    Ended,
    Event,
    Left,
    Notified,
    Received,
    Sent,
    Subscribed,
    read_lines,
    to_lines,
)


class World:
    """A system without faults: it writes down what would be seen of it."""

    def __init__(self) -> None:
        self.history: list[Event] = []
        self.now = 0.0
        self.epoch, self.top = "e1", 0
        self.stream: list[str] = []
        self.seats: dict[str, tuple[str, int] | None] = {}  # the position of each seat; None for those never taken
        self.connected: set[str] = set()

    def note(self, make: Callable[..., Event], **fields: object) -> None:
        self.now += 1.0
        self.history.append(make(at=self.now, **fields))

    def publish(self, outcome: str = "accepted") -> None:
        key = f"k{int(self.now)}"
        self.note(Asked, channel="c", key=key)
        if outcome != "refused":
            self.top += 1
            self.stream.append(key)
            for seat in sorted(self.connected):
                self.hand(seat, self.top)
        position = {"offset": self.top, "epoch": self.epoch} if outcome == "accepted" else {}
        self.note(Answered, channel="c", key=key, outcome=outcome, **position)

    def hand(self, seat: str, offset: int) -> None:
        self.note(Received, seat=seat, channel="c", key=self.stream[offset - 1], offset=offset)
        self.seats[seat] = (self.epoch, offset)

    def connect(self, seat: str) -> None:
        before = self.seats.get(seat)
        recovered = before is not None and before[0] == self.epoch
        at = before[1] if recovered and before is not None else self.top
        self.note(
            Subscribed,
            seat=seat,
            channel="c",
            offset=at,
            epoch=self.epoch,
            was_recovering=before is not None,
            recovered=recovered,
        )
        self.seats[seat] = (self.epoch, at)
        self.connected.add(seat)
        for offset in range(at + 1, self.top + 1):
            self.hand(seat, offset)

    def lose_everything(self) -> None:
        """A restart without memory: seats learn of it when they come back."""
        self.connected.clear()
        self.epoch, self.top, self.stream = f"e{int(self.now) + 2}", 0, []

    def settle(self) -> list[Event]:
        for seat in sorted(self.seats):
            if seat not in self.connected:
                self.connect(seat)
        return self.history


STEPS = st.lists(
    st.sampled_from(["accepted", "accepted", "refused", "unknown", "a", "b", "drop a", "drop b", "lose", "leave"]), max_size=40
)


def lived(steps: list[str]) -> list[Event]:
    world = World()
    world.connect("a")
    for step in steps:
        if step in ("accepted", "refused", "unknown"):
            world.publish(step)
        elif step in ("a", "b"):
            if step not in world.connected:
                world.connect(step)
        elif step.startswith("drop"):
            world.connected.discard(step[-1])
        elif step == "lose":
            world.lose_everything()
        elif "b" in world.seats:
            world.connected.discard("b")
            del world.seats["b"]
            world.note(Left, seat="b", channel="c")
    return world.settle()


def kinds(history: list[Event]) -> set[Kind]:
    return {violation.kind for violation in check(history)}


@pytest.fixture
def clean() -> list[Event]:
    """Six publications, a seat that was away for two of them."""
    return lived(["accepted", "accepted", "drop a", "accepted", "accepted", "a", "accepted", "accepted"])


@given(STEPS)
def test_says_nothing_of_a_world_without_faults(steps):
    assert check(lived(steps)) == []


@given(STEPS, st.randoms(use_true_random=False))
def test_a_delivery_that_is_taken_away_is_missed(steps, chance: random.Random):
    history = lived(["accepted", *steps, "a", "accepted"])
    accepted = {event.key for event in history if isinstance(event, Answered) and event.outcome == "accepted"}
    last_start = max(
        event.at for event in history if isinstance(event, Subscribed) and not event.recovered and event.seat == "a"
    )
    owed = [
        event
        for event in history
        if isinstance(event, Received) and event.seat == "a" and event.at > last_start and event.key in accepted
    ]
    history.remove(chance.choice(owed))
    assert kinds(history) & {Kind.LOST, Kind.FALSE_RECOVERED}


@given(STEPS, st.randoms(use_true_random=False))
def test_a_delivery_that_comes_again_is_told(steps, chance: random.Random):
    history = lived(["accepted", *steps])
    received = chance.choice([event for event in history if isinstance(event, Received)])
    again = msgspec.structs.replace(received, at=received.at + 0.5)
    assert kinds([*history, again]) == {Kind.DUP}


def test_lost(clean):
    received = [event for event in clean if isinstance(event, Received)]
    clean.remove(received[-1])
    assert kinds(clean) == {Kind.LOST}


def test_lost_in_an_epoch_that_a_seat_was_never_told_of(clean):
    clean.append(Asked(at=90, channel="c", key="new"))
    clean.append(Answered(at=91, channel="c", key="new", outcome="accepted", offset=1, epoch="other"))
    assert kinds(clean) == {Kind.LOST}


def test_nothing_is_owed_to_a_seat_that_was_given_up(clean):
    clean.append(Left(at=80, seat="a", channel="c"))
    clean.append(Asked(at=90, channel="c", key="new"))
    clean.append(Answered(at=91, channel="c", key="new", outcome="accepted", offset=7, epoch="e1"))
    assert kinds(clean) == set()


def test_order(clean):
    one, two = [event for event in clean if isinstance(event, Received)][-2:]
    clean.remove(one)
    clean.append(msgspec.structs.replace(one, at=two.at + 0.5))
    assert kinds(clean) == {Kind.ORDER}


def test_phantom_that_nobody_published(clean):
    clean.append(Received(at=99, seat="a", channel="c", key="made-up", offset=7))
    assert kinds(clean) == {Kind.PHANTOM}


def test_phantom_in_another_channel(clean):
    clean.append(Subscribed(at=98, seat="a", channel="d", offset=0, epoch="x"))
    clean.append(Received(at=99, seat="a", channel="d", key="k1", offset=1))
    assert kinds(clean) == {Kind.PHANTOM}


def test_phantom_at_another_position(clean):
    last = [event for event in clean if isinstance(event, Received)][-1]
    clean.remove(last)
    clean.append(msgspec.structs.replace(last, offset=last.offset + 1))
    assert Kind.PHANTOM in kinds(clean)


def test_recovered_with_a_hole(clean):
    recovering = next(event for event in clean if isinstance(event, Subscribed) and event.recovered)
    clean.remove(next(event for event in clean if isinstance(event, Received) and event.at > recovering.at))
    assert Kind.FALSE_RECOVERED in kinds(clean)


def test_recovered_across_a_change_of_the_stream(clean):
    clean.append(Subscribed(at=99, seat="a", channel="c", offset=6, epoch="e2", was_recovering=True, recovered=True))
    assert kinds(clean) == {Kind.FALSE_RECOVERED}


def test_a_position_that_two_publications_share(clean):
    clean.append(Asked(at=90, channel="c", key="new"))
    clean.append(Answered(at=91, channel="c", key="new", outcome="accepted", offset=6, epoch="e1"))
    assert Kind.FALSE_RECOVERED in kinds(clean)


def test_a_repeat_that_got_the_first_answer_is_no_violation(clean):
    answer = next(event for event in clean if isinstance(event, Answered))
    clean.append(msgspec.structs.replace(answer, at=99))
    assert kinds(clean) == set()


@pytest.mark.parametrize("state", ["pending", "unknown"])
def test_non_terminal(state):
    assert kinds([Notified(at=1, notification="n"), Ended(at=9, notification="n", state=state)]) == {Kind.NON_TERMINAL}


def test_non_terminal_when_nobody_knows_it_any_more():
    assert kinds([Notified(at=1, notification="n")]) == {Kind.NON_TERMINAL}


def test_double_send():
    sends = [Sent(at=at, notification="n", address="phone", handle=handle) for at, handle in ((2, "h1"), (3, "h2"))]
    ends = [Notified(at=1, notification="n"), Ended(at=9, notification="n", state="exhausted")]
    assert kinds([*ends, *sends]) == {Kind.DOUBLE_SEND}


def test_a_repeat_under_the_same_handle_and_another_address_are_no_violation():
    sends = [
        Sent(at=at, notification="n", address=address, handle=handle)
        for at, address, handle in ((2, "phone", "h1"), (3, "phone", "h1"), (4, "mail", "h2"))
    ]
    ends = [Notified(at=1, notification="n"), Ended(at=9, notification="n", state="exhausted")]
    assert kinds([*ends, *sends]) == set()


def test_late_send():
    history = [
        Notified(at=1, notification="n"),
        Sent(at=2, notification="n", address="phone", handle="h"),
        Acked(at=3, notification="n"),
        Ended(at=9, notification="n", state="acknowledged"),
    ]
    assert kinds(history) == set()
    late = Sent(at=4, notification="n", address="mail", handle="m")
    assert kinds([*history, late]) == {Kind.LATE_SEND}


@given(STEPS)
def test_a_history_survives_being_written_down(steps):
    history = lived(steps)
    assert read_lines(to_lines(history)) == history
