"""From one notification's rows to what statistics count of it. Pure: facts in, numbers added.

A notification counts in three *scopes*: once as a whole, once for each route that its timeline names, once for each provider of
a route. So within every group it counts once, whatever is grouped by, and nothing has to be told apart when hours are added.

As a whole it was seen when it was seen. For a route or a provider it was seen there if it had been told there before: nobody
says which of several routes somebody saw it on, so it counts for each of these.
"""

from collections.abc import Collection, Iterable, Mapping
from enum import IntEnum
from typing import Final, NamedTuple, TypeVar

import msgspec

from broker.confirmations import Mark
from broker.histograms import Histogram, bucket_of
from broker.notification import Outcome
from broker.outcome_classes import CLASSES, FAILURES, TOLD
from broker.routing import Route

__all__ = ["HOUR_US", "MARKS", "Facts", "Key", "Line", "Scope", "Tallies", "Tally", "count"]

K = TypeVar("K")

HOUR_US: Final = 3_600_000_000

MARKS: Final = (Mark.OPENED, Mark.SEEN, Mark.READ, Mark.DISMISSED, Mark.CLICKED)
_COUNTED_MARKS: Final = tuple(mark.value for mark in MARKS)
# Only mails have pixels.
_ROUTES_OF_MARKS: Final[Mapping[str, str]] = {Mark.OPENED.value: Route.EMAIL.value}
_FAILED: Final = frozenset(outcome.value for outcome, of_class in CLASSES.items() if of_class in FAILURES)


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
    lines: Iterable[Line]
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


def count(facts: Facts, tallies: Tallies) -> None:
    """Add what one notification comes to."""
    told_at, failures = _read(facts)
    base = (facts.hour, facts.category, facts.lane, facts.experiment, facts.variant)
    whole_at = min((at for (_, provider), at in told_at.items() if provider is None and at is not None), default=None)
    whole = _tally(tallies, Key(Scope.WHOLE, *base))
    _add(whole, facts, whole_at, "")
    for outcome in (outcome for outcomes in failures.values() for outcome in outcomes):
        _increment(whole.counts, f"outcome:{outcome}")
    for (route, provider), at in told_at.items():
        scope = Scope.ROUTE if provider is None else Scope.PROVIDER
        tally = _tally(tallies, Key(scope, *base, route, provider or ""))
        _add(tally, facts, at, route)
        for (failed_route, failed_provider), outcomes in failures.items():
            if failed_route == route and provider in (None, failed_provider):
                for outcome in outcomes:
                    _increment(tally.counts, f"outcome:{outcome}")


_Place = tuple[str, str | None]  # a route and its provider, None for the route as such


def _read(facts: Facts) -> tuple[dict[_Place, int | None], dict[tuple[str, str], list[str]]]:
    """Tell when it was first told at each place, None for places that were only thought of; and how deliveries failed."""
    told_at: dict[_Place, int | None] = {}
    last: dict[tuple[str, str], Line] = {}
    for line in facts.lines:
        if not line.route:
            continue
        at = line.at if line.outcome in TOLD else None
        for place in ((line.route, None), (line.route, line.provider)):
            if told_at.get(place) is None:
                told_at[place] = at
        last[line.route, line.device_id] = line
    failures: dict[tuple[str, str], list[str]] = {}
    for line in last.values():
        waits = line.outcome == Outcome.PAUSED.value and line.device_id in facts.open_devices
        if line.outcome in _FAILED and not waits:
            failures.setdefault((line.route, line.provider), []).append(line.outcome)
    return told_at, failures


def _tally(tallies: Tallies, key: Key) -> Tally:
    tally = tallies.get(key)
    if tally is None:
        tally = tallies[key] = Tally()
    return tally


def _add(tally: Tally, facts: Facts, told_at: int | None, route: str) -> None:
    counts, starts_at = tally.counts, facts.starts_at
    _increment(counts, "accepted")
    _increment(counts, f"state:{facts.state}")
    if told_at is not None:
        _increment(counts, "sent")
        if starts_at is not None:
            _increment(tally.to_sent, bucket_of(told_at - starts_at))
    if not facts.marks:
        return
    found = False
    for mark in _COUNTED_MARKS:
        at = facts.marks.get(mark)
        if at is None or (route and (told_at is None or at < told_at or _ROUTES_OF_MARKS.get(mark, route) != route)):
            continue
        found = True
        _increment(counts, mark)
        if mark == Mark.SEEN.value and starts_at is not None:
            _increment(tally.to_seen, bucket_of(at - starts_at))
    if found:
        _increment(counts, "delivered")


def _increment(counts: dict[K, int], name: K) -> None:
    counts[name] = counts.get(name, 0) + 1
