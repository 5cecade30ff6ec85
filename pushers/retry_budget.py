"""How many retries a carrier gets: a share of its first tries, so that an outage does not multiply the load on it (N-17).

Each process counts for itself, each carrier apart. Steps taken over from a process that died count as retries: their calls may
have been made. A carrier that is hardly used always gets a few, so that what is there to be retried also ends.
"""

from collections import deque
from typing import Final

from config.clock import Clock
from pushers.turns import Turns

__all__ = ["RetryBudget"]

_WINDOW_S: Final = 60.0
# The window moves in so many steps: fine enough, and bounded in memory whatever the rate.
_SLOTS: Final = 12
_SLOT_S: Final = _WINDOW_S / _SLOTS
_QUEUE: Final = ("retries", 0)


class _Slot:
    """Tries of one part of the window."""

    __slots__ = ("firsts", "number", "retries")

    def __init__(self, number: int) -> None:
        self.number = number
        self.firsts = self.retries = 0


class RetryBudget:
    """One carrier's budget. Synchronous; time comes from the clock that is handed in."""

    def __init__(self, share: float, least: int, clock: Clock) -> None:
        """Make it.

        Args:
            share: So many retries for each first try within a minute; 0 sets no limit.
            least: So many retries within a minute are never too many.
        """
        self._share, self._least, self._clock = share, least, clock
        self._slots: deque[_Slot] = deque()
        self._firsts = self._retries = 0
        self._turns = Turns()

    def first(self) -> None:
        """Count a first try."""
        self._current().firsts += 1
        self._firsts += 1

    def retry(self) -> float:
        """Ask for a retry.

        Returns:
            0.0 when it may be made now, and is counted; else in how many seconds to ask again.
        """
        current = self._current()
        allowed = max(float(self._least), self._share * self._firsts)
        if self._share and self._retries + 1 > allowed:
            return self._sent_away_s(allowed)
        current.retries += 1
        self._retries += 1
        return 0.0

    def give_back(self) -> None:
        """Say that the retry that was just allowed was not made."""
        current = self._current()
        if current.retries:  # else it was counted in a part that has ended since, and stays counted
            current.retries -= 1
            self._retries -= 1

    def _sent_away_s(self, allowed: float) -> float:
        """Find the first moment that is free, once the oldest retries have left the window."""
        now = self._clock.monotonic()
        oldest = next((slot.number for slot in self._slots if slot.retries), self._number())
        at = max((oldest + _SLOTS) * _SLOT_S, self._turns.free_at(_QUEUE))
        self._turns.take(_QUEUE, at, _WINDOW_S / max(1.0, allowed), now)
        return max(_SLOT_S / _SLOTS, at - now)

    def _current(self) -> _Slot:
        """Forget what has left the window; tells the part of it that is now."""
        number = self._number()
        while self._slots and self._slots[0].number <= number - _SLOTS:
            slot = self._slots.popleft()
            self._firsts -= slot.firsts
            self._retries -= slot.retries
        if not self._slots or self._slots[-1].number != number:
            self._slots.append(_Slot(number))
        return self._slots[-1]

    def _number(self) -> int:
        return int(self._clock.monotonic() / _SLOT_S)
