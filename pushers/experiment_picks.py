"""The duty of experiments that are to be decided by what they come to: the variant that leads for certain is picked.

Experiments are walked one after another, a piece at a look: a look costs the same however large they are, and no more than
sums by variant has to be remembered. What a walk has passed already may have changed when it comes to its end; the next one
finds it.
"""

from collections import deque
from typing import Final

from broker.experiments import Experiments, Pick, Place, VariantResult, add_up, winner
from config.clock import Clock
from config.logs import get_logger
from pushers.duties import Duty

__all__ = ["experiment_picks"]

_log = get_logger()

_PICKS: Final = 100
_PIECE: Final = 5000
_ROUND_S: Final = 60.0
_LEAST_S: Final = 0.1
# Counting takes its time: the store is to have so many times as much of its own.
_REST: Final = 50.0


def experiment_picks(experiments: Experiments, clock: Clock) -> Duty:
    """Make the duty. Where several processes have it they come to the same, and the first one's word counts."""
    return Duty("experiments", _Walk(experiments, clock).work)


class _Walk:
    """Goes through all picks that wait for their variant, and through the experiment of each."""

    def __init__(self, experiments: Experiments, clock: Clock) -> None:
        self._experiments, self._clock = experiments, clock
        self._picks: deque[Pick] = deque()
        self._last = ""  # the experiment that was walked before those
        self._place, self._results = Place(), tuple[VariantResult, ...]()

    async def work(self) -> float:
        """Count a piece of the experiment whose turn it is; gives the pause."""
        if not self._picks:
            self._picks.extend(await self._experiments.undecided(after=self._last, limit=_PICKS))
            self._last = self._picks[-1].experiment if self._picks else ""
            if not self._picks:
                return _ROUND_S
        began = self._clock.monotonic()
        pick = self._picks[0]
        counted = await self._experiments.count(pick.experiment, after=self._place, limit=_PIECE)
        self._results = add_up((*self._results, *counted.results))
        if counted.then is not None:
            self._place = counted.then
        else:
            await self._decide(pick)
        return max(_LEAST_S, _REST * (self._clock.monotonic() - began))

    async def _decide(self, pick: Pick) -> None:
        if variant := winner(self._results, pick):
            await self._experiments.decide(pick, variant)
            _log.info("experiment.picked", experiment=pick.experiment, variant=variant)
        self._picks.popleft()
        self._place, self._results = Place(), ()
