"""What one notification comes to, against the same worked out by hand; and alike ones counted together (N-31)."""

from collections import Counter
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from broker.confirmations import Mark
from broker.histograms import bucket_of
from broker.notification import Outcome, State
from broker.outcome_classes import CLASSES, FAILURES, TOLD
from broker.tallies import MARKS, Counting, Facts, Key, Line, Scope, Tallies, message_count

PROVIDERS = {"live": [""], "push": ["apns", "fcm", ""], "email": ["email", ""]}
# Moments are few, so that marks and lines meet.
MOMENTS = st.integers(0, 6).map(lambda number: 1_000_000 + number * 3_000_000)


@st.composite
def lines(draw: st.DrawFn) -> list[Line]:
    drawn = []
    for at in sorted(draw(st.lists(MOMENTS, max_size=6))):
        route = draw(st.sampled_from(["live", "push", "email", ""]))
        provider = draw(st.sampled_from(PROVIDERS.get(route, [""])))
        drawn.append(Line(at, route, draw(st.sampled_from(Outcome)).value, provider, draw(st.sampled_from(["", "a", "b"]))))
    return drawn


FACTS = st.builds(
    Facts,
    hour=st.sampled_from([0, 3_600_000_000]),
    category=st.sampled_from(["", "water"]),
    lane=st.just(2),
    experiment=st.just(""),
    variant=st.just(""),
    state=st.sampled_from(State).map(lambda state: state.value),
    starts_at=st.sampled_from([None, 1_000_000, 5_000_000]),
    lines=lines(),
    marks=st.dictionaries(st.sampled_from(Mark).map(lambda mark: mark.value), MOMENTS),
    open_devices=st.sets(st.sampled_from(["", "a", "b"])),
)


def counted(all_facts: Sequence[Facts]) -> Tallies:
    counting = Counting()
    for facts in all_facts:
        counting.add(facts)
    return counting.tallies()


def at_place(key: Key, line: Line) -> bool:
    return bool(line.route) and (
        key.scope == Scope.WHOLE or (line.route == key.route and (key.scope == Scope.ROUTE or line.provider == key.provider))
    )


def is_message(line: Line) -> bool:
    return line.outcome == Outcome.ACCEPTED and bool(line.provider)


def by_hand(facts: Facts, key: Key) -> tuple[Counter[str], list[int], list[int]]:
    """The numbers of a notification under a key, and how long it took: to be told, to be seen."""
    told = [line.at for line in facts.lines if at_place(key, line) and line.outcome in TOLD]
    counts = Counter({"accepted": 1, f"state:{facts.state}": 1, "sent": int(bool(told))})
    counts.update(message_count(line.provider) for line in facts.lines if at_place(key, line) and is_message(line))
    ends = {(line.route, line.device_id): line for line in facts.lines if line.route}
    for line in ends.values():
        waits = line.outcome == Outcome.PAUSED and line.device_id in facts.open_devices
        if at_place(key, line) and CLASSES[Outcome(line.outcome)] in FAILURES and not waits:
            counts[f"outcome:{line.outcome}"] += 1
    marks = {mark: facts.marks[mark.value] for mark in MARKS if mark.value in facts.marks}
    if key.scope != Scope.WHOLE:
        marks = {mark: at for mark, at in marks.items() if told and min(told) <= at}
        if key.route != "email":
            marks.pop(Mark.OPENED, None)
    counts.update({mark.value: 1 for mark in marks} | {"delivered": int(bool(marks))})
    if facts.starts_at is None:
        return +counts, [], []
    return (
        +counts,
        [min(told) - facts.starts_at] if told else [],
        [at - facts.starts_at for mark, at in marks.items() if mark is Mark.SEEN],
    )


def keys_of(facts: Facts) -> set[Key]:
    base = (facts.hour, facts.category, facts.lane, facts.experiment, facts.variant)
    routes = {Key(Scope.ROUTE, *base, line.route) for line in facts.lines if line.route}
    providers = {Key(Scope.PROVIDER, *base, line.route, line.provider) for line in facts.lines if line.route}
    return {Key(Scope.WHOLE, *base), *routes, *providers}


@given(FACTS)
def test_one_counts_as_by_hand(facts: Facts) -> None:
    tallies = counted([facts])
    assert set(tallies) == keys_of(facts)
    for key, tally in tallies.items():
        counts, to_sent, to_seen = by_hand(facts, key)
        assert tally.counts == counts
        assert tally.to_sent == Counter(map(bucket_of, to_sent))
        assert tally.to_seen == Counter(map(bucket_of, to_seen))


@given(st.lists(FACTS, max_size=6))
def test_many_count_as_each_of_them(all_facts: list[Facts]) -> None:
    together = counted(all_facts * 2)
    apart: Tallies = {}
    for facts in all_facts * 2:
        for key, tally in counted([facts]).items():
            if key in apart:
                apart[key].add(tally)
            else:
                apart[key] = tally
    assert together == apart
