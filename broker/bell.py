"""A bell that wakes one sleeper: rung from anywhere in the loop's thread, or by time."""

import asyncio

from config.clock import Clock

__all__ = ["Bell"]


class Bell:
    """Rings that nobody waited for are kept, as one."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._rung = asyncio.Event()

    @property
    def is_rung(self) -> bool:
        """Whether the next sleeper would wake at once."""
        return self._rung.is_set()

    def ring(self) -> None:
        """Wake the sleeper, or keep it from falling asleep."""
        self._rung.set()

    def silence(self) -> None:
        """Take back what has rung: its reason is about to be looked at."""
        self._rung.clear()

    async def wait(self) -> None:
        """Wait for a ring."""
        await self._rung.wait()
        self._rung.clear()

    async def wait_for(self, seconds: float) -> None:
        """Wait for a ring, at most so long."""
        if not self._rung.is_set():
            alarm = asyncio.create_task(self._alarm(seconds), name="bell:alarm")  # owned here: ended below
            try:
                await self._rung.wait()
            finally:
                alarm.cancel()
        self._rung.clear()

    async def _alarm(self, seconds: float) -> None:
        await self._clock.sleep(seconds)
        self._rung.set()
