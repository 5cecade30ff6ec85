"""Loss, doubles and wrong order are found exactly; seeded faults against what was seeded."""

import random

from hypothesis import given
from hypothesis import strategies as st

from loadtest.sequences import Findings, SequenceCheck, SourceTotal


def check_of(numbers: list[tuple[int, int]]) -> SequenceCheck:
    check = SequenceCheck()
    for source, number in numbers:
        check.see(source, number)
    return check


@given(st.lists(st.integers(0, 3), max_size=100))
def test_sources_may_interleave_freely(order: list[int]) -> None:
    reached = dict.fromkeys(order, 0)
    seen = []
    for source in order:
        reached[source] += 1
        seen.append((source, reached[source]))
    totals = [SourceTotal(source, last) for source, last in reached.items()]
    assert check_of(seen).findings(totals) == Findings()


@given(st.integers(1, 200), st.randoms(use_true_random=False))
def test_losses_and_doubles_are_counted_exactly(last: int, chance: random.Random) -> None:
    lost = {number for number in range(1, last + 1) if chance.random() < 0.2}
    doubled = {number for number in range(1, last + 1) if number not in lost and chance.random() < 0.2}
    seen = [(0, number) for number in range(1, last + 1) if number not in lost for _ in range(1 + (number in doubled))]
    assert check_of(seen).findings([SourceTotal(0, last)]) == Findings(lost=len(lost), duplicated=len(doubled))


@given(st.permutations(range(1, 9)))
def test_a_late_one_is_reordered_and_not_lost(order: list[int]) -> None:
    late = sum(number < max(order[:index], default=0) for index, number in enumerate(order))
    assert check_of([(0, number) for number in order]).findings([SourceTotal(0, 8)]) == Findings(reordered=late)


def test_what_was_refused_or_unknown_is_not_missed() -> None:
    total = SourceTotal(0, 5, refused=[2], unknown=[4])
    assert check_of([(0, 1), (0, 3), (0, 5)]).findings([total]) == Findings()
    assert total.accepted == 3


def test_a_source_never_heard_of_is_lost_whole() -> None:
    assert SequenceCheck().findings([SourceTotal(0, 3), SourceTotal(7, 2)]) == Findings(lost=5)
