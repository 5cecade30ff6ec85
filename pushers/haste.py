"""Lets critical notifications overtake what cannot be taken back: a transaction of the store, a turn of the loop.

Whatever a process has begun when a critical one arrives, that one waits for. So, for a second after each, everything is done in
small pieces: smaller claims and records, fewer ends of calls in a turn. And while one is on its way, from the moment that it is
to be stored until its calls begin, other deliveries rest: the store's thread, which shares the interpreter with the loop, is
through with what it has in hand the sooner. Rest is bounded, at a time and in all, so that nothing else stands still.
"""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final

from broker.bell import Bell
from config.clock import Clock
from config.logs import get_logger

__all__ = ["Haste", "Turn", "one_turn"]

# Awaited now and then by what takes long, so that the loop turns.
Turn = Callable[[], Awaitable[None]]

_log = get_logger()

# For so long after a critical one others are expected.
_LIVELY_S: Final = 1.0
# The longest that everything else rests at a time. After a rest it has at least a quarter as long for itself.
_REST_S: Final = 0.06
_SHARE: Final = 0.25


class Haste:
    """One process's. Rests end with what they are for, and by time while `run` runs."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lively_until = float("-inf")
        self._coming = 0  # those for which the rest is
        self._rests_from = self._rests_until = float("-inf")
        self._not_before = float("-inf")
        self._waiting: list[Callable[[], None]] = []
        self._begun = Bell(clock)

    @property
    def is_on(self) -> bool:
        """Whether work is to be done in small pieces."""
        return self._clock.monotonic() < self._lively_until

    @property
    def rests(self) -> bool:
        """Whether other deliveries rest now."""
        return bool(self._coming) and self._clock.monotonic() < self._rests_until

    def begin(self) -> None:
        """Hear that a critical notification is to be stored. Each is to be followed by an `end`."""
        now = self._clock.monotonic()
        self._lively_until = now + _LIVELY_S
        if self._coming:
            self._coming += 1
        elif now >= self._not_before:
            self._coming, self._rests_from, self._rests_until = 1, now, now + _REST_S
            self._begun.ring()

    def end(self) -> None:
        """Hear that its calls have begun, or that there will be none."""
        if self._coming:  # or it took so long that the others go on already
            self._coming -= 1
            if not self._coming:
                self._go_on()

    def after(self, go_on: Callable[[], None]) -> None:
        """Have this called once when the rest is over."""
        self._waiting.append(go_on)

    async def turn(self) -> None:
        """Let the loop turn; it comes back when the rest is over, where there is one."""
        if not self.rests:
            await one_turn()
            return
        is_over = asyncio.get_running_loop().create_future()
        self.after(partial(_tell, is_over))
        await is_over

    async def run(self) -> None:
        """Bound the rests, until cancelled."""
        try:
            while True:
                await self._begun.wait()
                while self._coming:
                    left_s = self._rests_until - self._clock.monotonic()
                    if left_s > 0:
                        await self._clock.sleep(left_s)
                    else:
                        self._coming = 0
                        self._go_on()
        finally:
            self._coming = 0
            self._go_on()

    def _go_on(self) -> None:
        now = self._clock.monotonic()
        self._not_before = now + _SHARE * (now - self._rests_from)
        waiting, self._waiting = self._waiting, []
        for go_on in waiting:
            try:
                go_on()
            except Exception:  # the edge between those who wait: an error of one must not keep the others waiting
                _log.exception("haste.broke")


async def one_turn() -> None:
    """Let the loop turn, whoever rests."""
    await asyncio.sleep(0)


def _tell(is_over: "asyncio.Future[None]") -> None:
    if not is_over.done():
        is_over.set_result(None)
