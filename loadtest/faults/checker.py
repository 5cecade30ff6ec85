"""Finds in a history what must never happen, whatever was broken meanwhile.

What a seat is owed: from the position where it was taken, every accepted publication of that epoch, once and in order,
until it is given up. A subscribe that says `recovered: false` ends the debt and begins a new one at its own position: a
loss that is told is no violation. A publication that was refused, or whose fate the publisher does not know, may be
delivered or not.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from enum import StrEnum

import msgspec

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
)

__all__ = ["TERMINAL", "Kind", "Violation", "check"]

TERMINAL = frozenset({"acknowledged", "exhausted", "expired", "cancelled", "failed"})


class Kind(StrEnum):
    """The sorts of violations."""

    LOST = "LOST"  # accepted, and never delivered to a seat that it was owed to
    DUP = "DUP"  # one position delivered twice to one seat
    ORDER = "ORDER"  # offsets went backwards
    PHANTOM = "PHANTOM"  # delivered, but never published so
    FALSE_RECOVERED = "FALSE-RECOVERED"  # `recovered: true` with a hole, or across a change of the stream
    NON_TERMINAL = "NON-TERMINAL"  # a notification without an end when all was quiet
    DOUBLE_SEND = "DOUBLE-SEND"  # two handles for one notification and address
    LATE_SEND = "LATE-SEND"  # a call to a provider that began after an ack was answered


class Violation(msgspec.Struct, frozen=True):
    """One finding; `where` is the seat or the notification, `what` a sentence for people."""

    kind: Kind
    where: str
    what: str


class _Seat:
    """What a seat has, and what it is owed from where."""

    def __init__(self, name: str, channel: str) -> None:
        self.name, self.channel = name, channel
        self.epoch = ""
        self.start = 0  # the debt begins after this offset
        self.begun_at = 0.0
        self.last = 0
        self.got: set[int] = set()
        self.has_recovered = False  # since the last publication
        self.is_open = False


def check(history: Sequence[Event]) -> list[Violation]:
    """Find every violation in a history that is complete: all was quiet at its end."""
    events = sorted(history, key=lambda event: event.at)
    return [*_check_seats(events), *_check_notifications(events)]


def _check_seats(events: Sequence[Event]) -> Iterable[Violation]:
    published = _Published(events)
    yield from published.reused()
    seats: dict[tuple[str, str], _Seat] = {}
    for event in events:
        if isinstance(event, Subscribed | Received | Left):
            key = (event.seat, event.channel)
            seat = seats.setdefault(key, _Seat(event.seat, event.channel))
            if isinstance(event, Subscribed):
                yield from _take(seat, event)
            elif isinstance(event, Received):
                yield from _receive(seat, event, published)
            else:
                seat.is_open = False
    for seat in seats.values():
        if seat.is_open:
            yield from _settle(seat, published)


class _Published:
    """What publishers know: who asked for what, and what was accepted where."""

    def __init__(self, events: Sequence[Event]) -> None:
        self.asked = {(event.channel, event.key): event.at for event in events if isinstance(event, Asked)}
        self.positions: dict[tuple[str, str], tuple[str, int]] = {}
        self.accepted: dict[str, list[Answered]] = defaultdict(list)
        for event in events:
            if isinstance(event, Answered) and event.outcome == "accepted" and event.offset:
                self.positions.setdefault((event.channel, event.key), (event.epoch, event.offset))
                self.accepted[event.channel].append(event)

    def reused(self) -> Iterable[Violation]:
        """Find positions that two publications share: the stream lost its end and did not change its epoch."""
        for channel, answers in self.accepted.items():
            owners: dict[tuple[str, int], str] = {}
            for answer in answers:
                position = (answer.epoch, answer.offset)
                owner = owners.setdefault(position, answer.key)
                if owner != answer.key:
                    what = f"offset {answer.offset} of epoch {answer.epoch} is {owner} and {answer.key}"
                    yield Violation(Kind.FALSE_RECOVERED, channel, what)


def _take(seat: _Seat, event: Subscribed) -> Iterable[Violation]:
    if event.recovered and seat.is_open:
        if event.epoch != seat.epoch:
            what = f"recovered from epoch {seat.epoch} into {event.epoch}"
            yield Violation(Kind.FALSE_RECOVERED, seat.name, what)
        else:
            seat.has_recovered = True
            return
    seat.epoch, seat.start, seat.last = event.epoch, event.offset, event.offset
    seat.begun_at, seat.got, seat.has_recovered, seat.is_open = event.at, set(), event.recovered, True


def _receive(seat: _Seat, event: Received, published: _Published) -> Iterable[Violation]:
    if (event.channel, event.key) not in published.asked:
        yield Violation(Kind.PHANTOM, seat.name, f"{event.key} was never published")
    position = published.positions.get((event.channel, event.key))
    if position is not None and seat.epoch in ("", position[0]) and event.offset not in (0, position[1]):
        what = f"{event.key} was accepted at {position[1]} and came at {event.offset}"
        yield Violation(Kind.PHANTOM, seat.name, what)
    if not event.offset:
        return
    if event.offset in seat.got:
        yield Violation(Kind.DUP, seat.name, f"offset {event.offset} came twice")
        return
    if event.offset <= seat.last:
        yield Violation(Kind.ORDER, seat.name, f"offset {event.offset} came after {seat.last}")
    elif event.offset > seat.last + 1 and seat.has_recovered:
        what = f"said to be recovered at {seat.last}, went on at {event.offset}"
        yield Violation(Kind.FALSE_RECOVERED, seat.name, what)
    seat.got.add(event.offset)
    seat.last = max(seat.last, event.offset)
    seat.has_recovered = False


def _settle(seat: _Seat, published: _Published) -> Iterable[Violation]:
    """What an open seat never got."""
    for answer in published.accepted[seat.channel]:
        if answer.epoch == seat.epoch:
            if answer.offset > seat.start and answer.offset not in seat.got:
                yield Violation(Kind.LOST, seat.name, f"{answer.key} at {answer.offset} never came")
        elif published.asked.get((seat.channel, answer.key), answer.at) > seat.begun_at:
            what = f"{answer.key} is in epoch {answer.epoch}, and the seat was left in {seat.epoch}"
            yield Violation(Kind.LOST, seat.name, what)


def _check_notifications(events: Sequence[Event]) -> Iterable[Violation]:
    accepted = [event.notification for event in events if isinstance(event, Notified)]
    states = {event.notification: event.state for event in events if isinstance(event, Ended)}
    for notification in accepted:
        state = states.get(notification, "unknown")
        if state not in TERMINAL:
            yield Violation(Kind.NON_TERMINAL, notification, f"is {state} when all is quiet")
    handles: dict[tuple[str, str], str] = {}
    acked: dict[str, float] = {}
    for event in events:
        if isinstance(event, Acked):
            acked.setdefault(event.notification, event.at)
        elif isinstance(event, Sent):
            handle = handles.setdefault((event.notification, event.address), event.handle)
            if handle != event.handle:
                yield Violation(Kind.DOUBLE_SEND, event.notification, f"{event.address} got {handle} and {event.handle}")
            if acked.get(event.notification, event.at) < event.at:
                yield Violation(Kind.LATE_SEND, event.notification, f"{event.address} was sent to after the ack")
