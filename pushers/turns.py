"""Moments for those who were sent away, one after another, so that a backlog becomes a schedule.

Whoever is refused by a rate learns when the next call is possible. Told to all who are refused, that moment brings them back
as a crowd, of which one passes; so each is given a moment of its own, as far behind the last one given as the rate allows.
"""

from heapq import heappop, heappush
from typing import Final

__all__ = ["Turns"]

# How many queues that have run dry are forgotten with each turn that is given: more than one, so that they cannot pile up.
_FORGOTTEN: Final = 2

_Key = tuple[str, int]


class Turns:
    """Queues by key (a name and a lane). Time comes in as monotonic readings; what has run dry is forgotten."""

    def __init__(self) -> None:
        self._free_at: dict[_Key, float] = {}
        self._ends: list[tuple[float, _Key]] = []

    def __len__(self) -> int:
        return len(self._free_at)

    def free_at(self, key: _Key) -> float:
        """Tell from when on nobody was sent away to yet."""
        return self._free_at.get(key, 0.0)

    def take(self, key: _Key, at: float, each_s: float, now: float) -> None:
        """Give out the moment `at`; the next one follows `each_s` later."""
        self._forget(now)
        if key not in self._free_at:
            heappush(self._ends, (at + each_s, key))
        self._free_at[key] = at + each_s

    def _forget(self, now: float) -> None:
        for _ in range(_FORGOTTEN):
            if not self._ends or self._ends[0][0] > now:
                return
            _, key = heappop(self._ends)
            if (free_at := self._free_at[key]) > now:
                heappush(self._ends, (free_at, key))
            else:
                del self._free_at[key]
