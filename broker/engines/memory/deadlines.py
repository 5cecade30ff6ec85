"""When things end, without a timer for each of them.

Three habits keep an end free of cost until it comes:

- whoever reads an entry looks at its deadline itself, so an entry that is over is never seen, swept or not;
- a deadline that moves away stays noted where it was: at that moment the owner looks again and notes the new one, so renewing
  an entry touches no heap;
- whatever adds an entry also sweeps a few that are due. It takes more away than it adds, so dead entries cannot pile up.
"""

from heapq import heappop, heappush
from typing import Final, Generic, TypeVar

__all__ = ["SWEEP", "Deadlines"]

Key = TypeVar("Key", str, tuple[str, str])

# How many due entries one call of the hot path takes away at most.
SWEEP: Final = 4


class Deadlines(Generic[Key]):
    """Notes of which key to look at when, the earliest first. A key may be noted more than once."""

    __slots__ = ("_heap",)

    def __init__(self) -> None:
        self._heap: list[tuple[float, Key]] = []

    def __len__(self) -> int:
        return len(self._heap)

    def note(self, deadline: float, key: Key) -> None:
        """Have `key` looked at once `deadline` is reached."""
        heappush(self._heap, (deadline, key))

    def pop_due(self, now: float) -> tuple[float, Key] | None:
        """Take the earliest note that is due, None where none is."""
        if self._heap and self._heap[0][0] <= now:
            return heappop(self._heap)
        return None
