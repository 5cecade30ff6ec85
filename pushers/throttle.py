"""How far a carrier is slowed down because it said that its quota is exceeded: halved at once, and back little by little.

So a rate finds what the provider really takes, whoever else spends of the same quota: additive increase, multiplicative
decrease, as in TCP. Each process slows itself, by what it hears itself; all that share a quota hear it soon enough. Nothing of
it is kept: a process that begins anew asks once too often, and is told again.
"""

from typing import Final

__all__ = ["Throttle"]

# PROVIDERS: "halve the lane's rate, recover +5 % in 10 s", and never below a share that still tells when there is room again.
_STEP: Final = 0.05
_STEP_S: Final = 10.0
_LEAST: Final = 1 / 32

# A carrier without a rate of its own is slowed from how fast it was called; in windows of so long.
_WINDOW_S: Final = 10.0
_LEAST_PER_S: Final = 1.0


class Throttle:
    """One carrier's share of its rate, from 1/32 to 1. Synchronous; `now` are monotonic readings that never go back."""

    def __init__(self) -> None:
        self._share, self._climbs_from = 1.0, 0.0
        self._window, self._calls, self._calls_before = 0, 0, 0
        self._measured_per_s = _LEAST_PER_S

    def share(self, now: float) -> float:
        """Tell which share of its rate it may be called at."""
        if self._share == 1.0 or now < self._climbs_from:
            return self._share
        share = self._share + _STEP * ((now - self._climbs_from) // _STEP_S)
        if share >= 1.0:
            self._share = 1.0
        return min(1.0, share)

    @property
    def measured_per_s(self) -> float:
        """How many calls a second were made when it complained at first: what is shared where no rate is set."""
        return self._measured_per_s

    def call(self, now: float) -> None:
        """Count a call."""
        self._turn(now)
        self._calls += 1

    def complain(self, now: float, until: float) -> bool:
        """Hear that the quota is exceeded, and that nothing passes before `until`: from then on the share climbs.

        Returns:
            Whether it was halved: complaints from calls that were under way beside the first are the same one.
        """
        is_new = now >= self._climbs_from
        if is_new:
            share = self.share(now)
            if share == 1.0:
                self._turn(now)
                self._measured_per_s = max(_LEAST_PER_S, max(self._calls, self._calls_before) / _WINDOW_S)
            self._share = max(_LEAST, share / 2)
        self._climbs_from = max(self._climbs_from, until)
        return is_new

    def _turn(self, now: float) -> None:
        window = int(now // _WINDOW_S)
        if window != self._window:
            self._calls_before = self._calls if window == self._window + 1 else 0
            self._window, self._calls = window, 0
