"""How a large call leaves room for others: it lets the loop turn in between.

What is published leaves at the end of a turn. A call that did all its work in one would have its subscribers' buffers
overflow before anything could be sent, and everybody else wait.
"""

import asyncio
from typing import Final

__all__ = ["Pace"]

STEPS: Final = 64
BYTES: Final = 65536


class Pace:
    """Counts the steps of one call and the payload that they carry."""

    def __init__(self, steps: int = STEPS) -> None:
        self._limit = steps
        self._steps = self._bytes = 0

    def counts(self, size_bytes: int) -> bool:
        """Count a step; tells whether the loop should turn now."""
        self._steps += 1
        self._bytes += size_bytes
        if self._steps < self._limit and self._bytes < BYTES:
            return False
        self._steps = self._bytes = 0
        return True

    async def step(self, size_bytes: int) -> None:
        """Count a step that was done, and let the loop turn where it should."""
        if self.counts(size_bytes):
            await asyncio.sleep(0)
