"""Time and chance as values that are handed in.

Everything that asks what time it is, or draws a random number, asks a `Clock`; tests hand in one that they move.
No other module may import `time` or `random` (a test of imports holds that).
"""

import asyncio
import random
import time
import uuid
from datetime import UTC, datetime, timedelta
from typing import Protocol

__all__ = ["Clock", "ManualClock", "SystemClock"]


class Clock(Protocol):
    """The one source of time and chance."""

    def now(self) -> datetime:
        """Tell the wall time, aware, in UTC."""

    def monotonic(self) -> float:
        """Tell a reading in seconds that never goes back; only differences mean anything."""

    def spread(self) -> float:
        """Draw evenly from [0, 1): the jitter of a retry or of a first ping."""

    def new_id(self) -> uuid.UUID:
        """Make an id whose order follows time (UUID version 7, RFC 9562 §5.7)."""

    async def sleep(self, seconds: float) -> None:
        """Suspend the caller for so long."""


class SystemClock:
    """The machine's own clock and generator."""

    # The system's own function: every call of the API asks several times.
    monotonic = staticmethod(time.monotonic)

    def now(self) -> datetime:
        return datetime.now(UTC)

    def spread(self) -> float:
        return random.random()  # noqa: S311 (jitter is no secret)

    def new_id(self) -> uuid.UUID:
        return _uuid7(time.time_ns() // 1_000_000, random.getrandbits(74))

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class ManualClock:
    """A clock that stands still until a test moves it; its chance is seeded.

    Sleepers wake in order of their deadlines when `advance` passes them, each given the turns it needs before the next.
    """

    def __init__(self, start: datetime = datetime(2026, 1, 1, tzinfo=UTC), seed: int = 1) -> None:
        self._now = start
        self._elapsed_s = 1000.0
        self._chance = random.Random(seed)  # noqa: S311 (seeded on purpose)
        self._sleepers: list[tuple[float, asyncio.Future[None]]] = []

    def now(self) -> datetime:
        return self._now

    def monotonic(self) -> float:
        return self._elapsed_s

    def spread(self) -> float:
        return self._chance.random()

    def new_id(self) -> uuid.UUID:
        return _uuid7(int(self._now.timestamp() * 1000), self._chance.getrandbits(74))

    async def sleep(self, seconds: float) -> None:
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._sleepers.append((self._elapsed_s + seconds, woken))
        await woken

    def move(self, seconds: float) -> None:
        """Move time without waking anybody: for code that only reads the clock."""
        self._elapsed_s += seconds
        self._now += timedelta(seconds=seconds)

    async def advance(self, seconds: float) -> None:
        """Move time, waking every sleeper on the way at its own moment. Tasks just made get to their first sleep before."""
        await settle()
        target = self._elapsed_s + seconds
        while due := [entry for entry in self._sleepers if entry[0] <= target]:
            deadline, woken = min(due, key=lambda entry: entry[0])
            self._sleepers.remove((deadline, woken))
            self.move(max(0.0, deadline - self._elapsed_s))
            if not woken.done():
                woken.set_result(None)
            await settle()
        self.move(max(0.0, target - self._elapsed_s))
        await settle()


async def settle(turns: int = 40) -> None:
    """Give the loop a few turns, so that what is ready runs."""
    for _ in range(turns):
        await asyncio.sleep(0)


def _uuid7(unix_ms: int, chance: int) -> uuid.UUID:
    """Lay out 48 bits of milliseconds, version 7, 12 random bits, variant 2, 62 random bits."""
    high, low = chance >> 62, chance & ((1 << 62) - 1)
    return uuid.UUID(int=unix_ms << 80 | 0x7 << 76 | high << 64 | 0b10 << 62 | low)
