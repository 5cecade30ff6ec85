"""How late the event loop is, from the node's one ticker; and whether that is too much.

A tick that comes late by a second says that everything else waited as long. One late tick is a pause (a collection, a
neighbour on the machine); many are more work than the node can do. So lateness is averaged over time, and the verdict
has two thresholds: a node that is just below its limit does not take clients in and turn them away by turns.
"""

import math
from typing import Final

__all__ = ["LoopLag"]

# The average forgets what is older than this, more or less.
_MEMORY_S: Final = 1.0
# Overloaded from the limit on, until lateness has come down to this part of it.
_RECOVERED: Final = 0.5


class LoopLag:
    """Fed by the ticker, a few times a second."""

    def __init__(self, limit_s: float) -> None:
        """Begin without lateness; a limit of 0 never finds any too much."""
        self.average_s = 0.0
        self.is_overloaded = False
        self._limit_s = limit_s

    def note(self, late_s: float, passed_s: float) -> None:
        """Take one tick: how late it came, and how long after the tick before."""
        weight = 1 - math.exp(-max(0.0, passed_s) / _MEMORY_S)
        self.average_s += (max(0.0, late_s) - self.average_s) * weight
        if self._limit_s:
            self.is_overloaded = self.average_s > self._limit_s * (_RECOVERED if self.is_overloaded else 1.0)
