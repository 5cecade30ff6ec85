"""The duty of experiments that are to be decided by what they come to: the variant that leads for certain is picked.

Experiments are walked one after another, a piece at a look: a look costs the same however large they are, and no more than
sums by variant has to be remembered. What a walk has passed already may have changed when it comes to its end; the next one
finds it.
"""

from collections import deque
from typing import Final

import msgspec

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
    return Duty("experiments", _Looks(experiments, clock).work)


class _Walk(msgspec.Struct):
    """How far one experiment was counted, and what that came to."""

    pick: Pick
    place: Place = Place()
    results: tuple[VariantResult, ...] = ()


class _Looks:
    """Goes through all picks that wait for their variant, and through the experiment of each."""

    def __init__(self, experiments: Experiments, clock: Clock) -> None:
        self._experiments, self._clock = experiments, clock
        self._walks: deque[_Walk] = deque()
        self._last = ""  # the experiment of the last of them

    async def work(self) -> float:
        """Count a piece of the experiment whose turn it is; gives the pause."""
        if not self._walks:
            picks = await self._experiments.undecided(after=self._last, limit=_PICKS)
            self._walks.extend(_Walk(pick) for pick in picks)
            self._last = picks[-1].experiment if picks else ""
            if not picks:
                return _ROUND_S
        began = self._clock.monotonic()
        walk = self._walks.popleft()  # one that breaks is begun anew in the next round, and keeps nobody waiting
        counted = await self._experiments.count(walk.pick.experiment, after=walk.place, limit=_PIECE)
        walk.results = add_up((*walk.results, *counted.results))
        if counted.then is None:
            await self._decide(walk)
        else:
            walk.place = counted.then
            self._walks.appendleft(walk)
        return max(_LEAST_S, _REST * (self._clock.monotonic() - began))

    async def _decide(self, walk: _Walk) -> None:
        if variant := winner(walk.results, walk.pick):
            await self._experiments.decide(walk.pick, variant)
            _log.info("experiment.picked", experiment=walk.pick.experiment, variant=variant)
