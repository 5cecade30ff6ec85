"""From one notification's rows to what statistics count of it. Pure: facts in, numbers added.

A notification counts in three *scopes*: once as a whole, once for each route that its timeline names, once for each provider of
a route. So within every group it counts once, whatever is grouped by, and nothing has to be told apart when hours are added.

As a whole it was seen when it was seen. For a route or a provider it was seen there if it had been told there before: nobody
says which of several routes somebody saw it on, so it counts for each of these.
"""

from collections.abc import Collection, Mapping, Sequence
from enum import IntEnum
from typing import Final, NamedTuple

import msgspec

from broker.confirmations import Mark
from broker.histograms import Histogram, bucket_of
from broker.notification import Outcome
from broker.outcome_classes import CLASSES, FAILURES, TOLD
from broker.routing import Route

__all__ = ["HOUR_US", "MARKS", "Counting", "Facts", "Key", "Line", "Scope", "Tallies", "Tally", "message_count"]

HOUR_US: Final = 3_600_000_000

MARKS: Final = (Mark.OPENED, Mark.SEEN, Mark.READ, Mark.DISMISSED, Mark.CLICKED)
_COUNTED_MARKS: Final = tuple(mark.value for mark in MARKS)
_SEEN: Final = Mark.SEEN.value
# Only mails have pixels.
_ROUTES_OF_MARKS: Final[Mapping[str, str]] = {Mark.OPENED.value: Route.EMAIL.value}
_TAKEN: Final = Outcome.ACCEPTED.value
_FAILED: Final = frozenset(outcome.value for outcome, of_class in CLASSES.items() if of_class in FAILURES)


def message_count(provider: str) -> str:
    """Name the count of the messages that a provider took, which may have a price."""
    return f"message:{provider}"


class Scope(IntEnum):
    """What of a notification is counted under a key."""

    WHOLE = 0
    ROUTE = 1
    PROVIDER = 2


class Key(NamedTuple):
    """What counts together; `hour` is when it begins, in microseconds, and the last two are empty where the scope is wider."""

    scope: int
    hour: int
    category: str
    lane: int
    experiment: str
    variant: str
    route: str = ""
    provider: str = ""


class Line(NamedTuple):
    """A line of a timeline."""

    at: int
    route: str
    outcome: str
    provider: str
    device_id: str


class Facts(msgspec.Struct, frozen=True, gc=False):
    """What is known of a notification. Moments are microseconds.

    Attributes:
        starts_at: From when it was to be told; None where nobody knows, so that it counts in no duration.
        lines: Its timeline, oldest first.
        marks: When its user first left each.
        open_devices: Those with a delivery that is still to be made.
    """

    hour: int
    category: str
    lane: int
    experiment: str
    variant: str
    state: str
    starts_at: int | None
    lines: Sequence[Line]
    marks: Mapping[str, int]
    open_devices: Collection[str] = ()


class Tally(msgspec.Struct, omit_defaults=True):
    """Numbers by name, and histograms of how long it took from when it was to be told. Kept as JSON: a new name needs no new
    column, and is simply absent from what was counted before."""

    counts: dict[str, int] = {}
    to_sent: Histogram = {}
    to_seen: Histogram = {}

    def add(self, other: "Tally") -> None:
        """Add another one."""
        for mine, its in ((self.to_sent, other.to_sent), (self.to_seen, other.to_seen)):
            for bucket, count in its.items():
                mine[bucket] = mine.get(bucket, 0) + count
        for name, count in other.counts.items():
            self.counts[name] = self.counts.get(name, 0) + count


Tallies = dict[Key, Tally]


class _Shape(NamedTuple):
    """All that numbers depend on, but for how long it took. Lines are (route, outcome, provider, device by its turn, whether
    its delivery is open); marks are (mark, how many lines are older)."""

    hour: int
    category: str
    lane: int
    experiment: str
    variant: str
    state: str
    lines: tuple[tuple[str, str, str, int, bool], ...]
    marks: tuple[tuple[str, int], ...]


class _Place:
    """Where notifications of a shape count: under which names, after which line they were told, and whether seen after it."""

    __slots__ = ("is_seen", "names", "tally", "told")

    def __init__(self, tally: Tally, names: list[str], told: int | None, is_seen: bool) -> None:
        self.tally, self.names, self.told, self.is_seen = tally, names, told, is_seen


class Counting:
    """Counts notifications. Most are like one another: what a notification of some shape comes to is worked out once, and then
    only counted (measured: 8 µs instead of 18)."""

    def __init__(self) -> None:
        self._tallies: Tallies = {}
        self._places: dict[_Shape, list[_Place]] = {}
        self._weights: dict[_Shape, int] = {}

    def add(self, facts: Facts) -> None:
        """Add what one notification comes to."""
        shape = _shape(facts)
        places = self._places.get(shape)
        if places is None:
            places = self._places[shape] = self._work_out(shape)
            self._weights[shape] = 0
        self._weights[shape] += 1
        if (starts_at := facts.starts_at) is None:
            return
        seen_at = facts.marks.get(_SEEN)
        seen = 0 if seen_at is None else bucket_of(seen_at - starts_at)
        for place in places:
            if place.told is not None:
                _increment(place.tally.to_sent, bucket_of(facts.lines[place.told].at - starts_at))
            if place.is_seen:
                _increment(place.tally.to_seen, seen)

    def tallies(self) -> Tallies:
        """Give the numbers; once, at the end."""
        for shape, weight in self._weights.items():
            for place in self._places[shape]:
                counts = place.tally.counts
                for name in place.names:
                    counts[name] = counts.get(name, 0) + weight
        return self._tallies

    def _work_out(self, shape: _Shape) -> list[_Place]:
        base = shape[:5]
        told, failures = _told(shape), _failures(shape)
        at_first = min((index for index in told.values() if index is not None), default=None)
        found = [self._place(Key(Scope.WHOLE, *base), shape, at_first, [outcome for _, outcome in failures])]
        for (route, provider), index in told.items():
            failed = [outcome for at, outcome in failures if at[0] == route and provider in (None, at[1])]
            scope = Scope.ROUTE if provider is None else Scope.PROVIDER
            found.append(self._place(Key(scope, *base, route, provider or ""), shape, index, failed))
        return found

    def _place(self, key: Key, shape: _Shape, told: int | None, failed: list[str]) -> _Place:
        tally = self._tallies.setdefault(key, Tally())
        names = ["accepted", f"state:{shape.state}", *(f"outcome:{outcome}" for outcome in failed), *_messages(key, shape)]
        if told is not None:
            names.append("sent")
        marks = [mark for mark, older in shape.marks if _counts_at(key, mark, told, older)]
        if marks:
            names += ["delivered", *marks]
        return _Place(tally, names, told, _SEEN in marks)


_At = tuple[str, str | None]  # a route and its provider, None for the route as such


def _shape(facts: Facts) -> _Shape:
    turns: dict[str, int] = {}
    lines = tuple(
        (
            line.route,
            line.outcome,
            line.provider,
            turns.setdefault(line.device_id, len(turns)),
            line.device_id in facts.open_devices,
        )
        for line in facts.lines
    )
    marks = tuple(
        (mark, sum(line.at <= at for line in facts.lines))
        for mark in _COUNTED_MARKS
        if (at := facts.marks.get(mark)) is not None
    )
    return _Shape(facts.hour, facts.category, facts.lane, facts.experiment, facts.variant, facts.state, lines, marks)


def _told(shape: _Shape) -> dict[_At, int | None]:
    """Tell by which line it was first told at each route and provider; None where it was only thought of."""
    told: dict[_At, int | None] = {}
    for index, (route, outcome, provider, _, _) in enumerate(shape.lines):
        if route:
            for at in ((route, None), (route, provider)):
                if told.get(at) is None:
                    told[at] = index if outcome in TOLD else None
    return told


def _failures(shape: _Shape) -> list[tuple[tuple[str, str], str]]:
    """Tell how deliveries failed: by their last lines."""
    last = {(line[0], line[3]): line for line in shape.lines if line[0]}
    return [
        ((route, provider), outcome)
        for route, outcome, provider, _, is_open in last.values()
        if outcome in _FAILED and not (is_open and outcome == Outcome.PAUSED.value)
    ]


def _messages(key: Key, shape: _Shape) -> list[str]:
    """Name a count for each message that a provider took: several of one notification where it has several addresses."""
    return [
        message_count(provider)
        for route, outcome, provider, _, _ in shape.lines
        if outcome == _TAKEN
        and provider
        and (key.scope == Scope.WHOLE or key.route == route)
        and (key.scope != Scope.PROVIDER or key.provider == provider)
    ]


def _counts_at(key: Key, mark: str, told: int | None, older: int) -> bool:
    """Whether a mark that `older` lines came before counts where it was told by line number `told`."""
    if key.scope == Scope.WHOLE:
        return True
    return told is not None and told < older and _ROUTES_OF_MARKS.get(mark, key.route) == key.route


def _increment(counts: Histogram, bucket: int) -> None:
    counts[bucket] = counts.get(bucket, 0) + 1
