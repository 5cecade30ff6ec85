"""The duty of experiments that are to be decided by what they come to: the variant that leads for certain is picked."""

from typing import Final

from broker.experiments import Experiments, winner
from config.clock import Clock
from config.logs import get_logger
from pushers.duties import Duty

__all__ = ["experiment_picks"]

_log = get_logger()

_AT_ONCE: Final = 100
_ROUND_S: Final = 60.0
# Counting a large experiment takes its time: the store is to have so many times as much of its own.
_REST: Final = 50.0


def experiment_picks(experiments: Experiments, clock: Clock) -> Duty:
    """Make the duty. Where several processes have it they come to the same, and the first one's word counts."""

    async def work() -> float:
        began = clock.monotonic()
        for pick in await experiments.undecided(limit=_AT_ONCE):
            if variant := winner(await experiments.results(pick.experiment), pick):
                await experiments.decide(pick, variant)
                _log.info("experiment.picked", experiment=pick.experiment, variant=variant)
        return max(_ROUND_S, _REST * (clock.monotonic() - began))

    return Duty("experiments", work)
