"""The duty that picks the variant which leads for certain. N-30."""

from collections.abc import Sequence

from broker.experiments import Pick, VariantResult
from config.clock import ManualClock
from pushers.experiment_picks import experiment_picks


class Counted:
    """The port's deciding half, in memory; counting takes some seconds."""

    def __init__(self, clock: ManualClock, *picks: Pick) -> None:
        self.clock, self.picks = clock, picks
        self.acknowledged = 30
        self.decided: list[tuple[str, str]] = []

    async def undecided(self, *, limit: int) -> Sequence[Pick]:
        return self.picks[:limit]

    async def results(self, experiment: str) -> Sequence[VariantResult]:
        self.clock.move(2)
        return [VariantResult("a", 100, 100, 30), VariantResult("b", 100, 100, self.acknowledged)]

    async def decide(self, pick: Pick, variant: str) -> None:
        self.decided.append((pick.experiment, variant))


async def test_it_decides_what_is_certain_and_rests_as_long_as_counting_is_worth(clock: ManualClock) -> None:
    counted = Counted(clock, Pick("e", after=100), Pick("f", after=1000))
    duty = experiment_picks(counted, clock)  # type: ignore[arg-type]  # (the half that is used)
    assert await duty.work() == 200
    assert counted.decided == []
    counted.acknowledged = 45
    await duty.work()
    assert counted.decided == [("e", "b")]
    counted.picks = ()
    assert await duty.work() == 60
