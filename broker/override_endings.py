"""Has the ends of overrides written down: whoever is there when one ends says so to the store, which lets one of all do it.

It asks at the start too, for what ended while nobody was there, whenever what is in force changes, and when overrides were
read, for one may have ended before that. What rules is `PresentOverrides`, which waits for nobody: an override has ended at its
moment, also while the store cannot be told.
"""

from typing import Final

from broker.bell import Bell
from broker.errors import StoreUnavailable
from broker.overrides import Overrides
from broker.present_overrides import PresentOverrides
from config.clock import Clock

__all__ = ["OverrideEndings"]

_RETRY_S: Final = 5.0


class OverrideEndings:
    """Tells the store what has ended, in every process."""

    def __init__(self, kept: Overrides, present: PresentOverrides, clock: Clock) -> None:
        self._kept, self._clock = kept, clock
        self._due = Bell(clock)
        present.on_change(lambda _now: self._due.ring())  # rings at once: the start is a moment too
        present.on_load(self._due.ring)

    async def run(self) -> None:
        """Ask at each change until the store has answered, until cancelled."""
        while True:
            await self._due.wait()
            while not await self._told():
                await self._clock.sleep(_RETRY_S * (0.5 + self._clock.spread()))

    async def _told(self) -> bool:
        try:
            await self._kept.end_past()
        except StoreUnavailable:
            return False
        return True
