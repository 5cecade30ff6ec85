"""The duty that picks the variant which leads for certain. N-30."""

from collections.abc import Sequence

import pytest

from broker.experiments import Counted, Pick, Place, VariantResult
from config.clock import ManualClock
from pushers.experiment_picks import experiment_picks


class Counting:
    """The port's deciding half, in memory; counting a piece takes some seconds."""

    def __init__(self, clock: ManualClock, *picks: Pick, pieces: int = 1) -> None:
        self.clock, self.picks, self.pieces = clock, picks, pieces
        self.acknowledged = 30
        self.breaks = ""
        self.decided: list[tuple[str, str]] = []
        self.looks: list[tuple[str, int]] = []

    async def undecided(self, *, after: str = "", limit: int) -> Sequence[Pick]:
        return [pick for pick in self.picks if pick.experiment > after][:limit]

    async def count(self, experiment: str, *, after: Place, limit: int) -> Counted:
        self.clock.move(2)
        if experiment == self.breaks:
            raise ValueError("ours")
        number = int(after.notification_id or 0) + 1
        self.looks.append((experiment, number))
        results = (VariantResult("a", 100, 100, 30), VariantResult("b", 100, 100, self.acknowledged))
        return Counted(results, None if number == self.pieces else Place("b", str(number)))

    async def decide(self, pick: Pick, variant: str) -> None:
        self.decided.append((pick.experiment, variant))


async def test_it_decides_what_is_certain_and_rests_as_long_as_counting_is_worth(clock: ManualClock) -> None:
    counting = Counting(clock, Pick("e", after=100), Pick("f", after=1000))
    duty = experiment_picks(counting, clock)  # type: ignore[arg-type]  # (the half that is used)
    assert [await duty.work() for _ in range(3)] == [100, 100, 60]
    assert counting.decided == []
    counting.acknowledged = 45
    assert [await duty.work() for _ in range(3)] == [100, 100, 60]
    assert counting.decided == [("e", "b")]
    counting.picks = ()
    assert await duty.work() == 60


async def test_a_large_one_is_counted_a_piece_at_a_look(clock: ManualClock) -> None:
    """However many outcomes there are, a look costs the same; they are judged together."""
    counting = Counting(clock, Pick("e", after=1000), Pick("f", after=1001), pieces=10)
    counting.acknowledged = 40
    duty = experiment_picks(counting, clock)  # type: ignore[arg-type]
    pauses = [await duty.work() for _ in range(21)]
    assert counting.looks == [(experiment, number) for experiment in "ef" for number in range(1, 11)]
    assert pauses == [100] * 20 + [60]
    assert counting.decided == [("e", "b")], "what was told to a thousand is decided by all of them"


@pytest.mark.parametrize("picks", [1, 100, 101, 250])
async def test_all_that_wait_have_their_turn(clock: ManualClock, picks: int) -> None:
    counting = Counting(clock, *(Pick(f"e-{number:03}", after=9999) for number in range(picks)))
    duty = experiment_picks(counting, clock)  # type: ignore[arg-type]
    while await duty.work() != 60:
        pass
    assert [experiment for experiment, _ in counting.looks] == [pick.experiment for pick in counting.picks]


async def test_one_that_breaks_keeps_no_other_waiting(clock: ManualClock) -> None:
    counting = Counting(clock, *(Pick(experiment, after=100) for experiment in "efg"), pieces=2)
    counting.acknowledged, counting.breaks = 45, "f"
    duty = experiment_picks(counting, clock)  # type: ignore[arg-type]
    assert [await duty.work() for _ in range(2)] == [100, 100]
    with pytest.raises(ValueError, match="ours"):
        await duty.work()
    assert [await duty.work() for _ in range(3)] == [100, 100, 60]
    assert counting.decided == [("e", "b"), ("g", "b")]
