"""Sending clients away gently: all of a node's at its end, or a share of them because an operator asks.

Told at once, ten thousand clients come back at once, and fall upon the nodes that are left. So they are told over a
spread: so many at each step that the last has heard it in time. SDKs add a backoff of their own, with chance in it.
"""

import asyncio
import math
from collections import deque
from collections.abc import Iterable
from typing import Final

from config.clock import Clock
from gateway.protocol.disconnects import Disconnect
from gateway.session.client import Client

__all__ = ["Farewell", "Farewells", "choose_share", "draining_pace"]

_STEP_S: Final = 0.1
# So many in one loop turn; others get theirs between.
_SLICE: Final = 200
# Nodes take back so many a second without anybody noticing: a few clients need no spread.
_EASY_PER_S: Final = 500.0


def draining_pace(count: int, spread_s: float) -> float:
    """Tell how many clients to send away per second, so that the last has gone within `spread_s`; few go at once."""
    return max(_EASY_PER_S, count / spread_s) if spread_s else math.inf


def choose_share(clients: Iterable[Client], share: float, clock: Clock) -> list[Client]:
    """Choose so large a share of clients by chance, rounded up."""
    # Sorted by a draw each, so that nobody is likelier than others and no number comes out twice.
    drawn = sorted(((clock.spread(), number, client) for number, client in enumerate(clients)), key=lambda entry: entry[:2])
    return [client for *_, client in drawn[: math.ceil(share * len(drawn))]]


class Farewells:
    """A node's rounds of goodbyes that are under way."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._under_way: set[Farewell] = set()

    async def say(self, clients: Iterable[Client], disconnect: Disconnect, pace_per_s: float) -> None:
        """Tell clients to go, so many per second; returns when the last one has been told."""
        farewell = Farewell(clients, disconnect, pace_per_s, self._clock)
        self._under_way.add(farewell)
        try:
            await farewell.run()
        finally:
            self._under_way.discard(farewell)

    def hurry(self) -> None:
        """Tell all who are left at the next step."""
        for farewell in self._under_way:
            farewell.hurry()


class Farewell:
    """One round of goodbyes. Whoever has gone by itself meanwhile is passed over."""

    def __init__(self, clients: Iterable[Client], disconnect: Disconnect, pace_per_s: float, clock: Clock) -> None:
        self._waiting = deque(clients)
        self._count = len(self._waiting)
        self._disconnect, self._pace_per_s, self._clock = disconnect, pace_per_s, clock

    def hurry(self) -> None:
        """Tell all who are left at the next step."""
        self._pace_per_s = math.inf

    async def run(self) -> None:
        """Tell everybody; returns when the last one has been told."""
        began_at = self._clock.monotonic()
        while self._waiting:
            # By the clock and not by counting steps: a loop that is late catches up.
            passed_s = self._clock.monotonic() - began_at + _STEP_S
            is_open_ended = math.isinf(self._pace_per_s)
            due = self._count if is_open_ended else min(self._count, math.ceil(self._pace_per_s * passed_s))
            await self._tell(due - (self._count - len(self._waiting)))
            if self._waiting:
                await self._clock.sleep(_STEP_S)

    async def _tell(self, count: int) -> None:
        for number in range(1, count + 1):
            self._waiting.popleft().disconnect(self._disconnect)
            if number % _SLICE == 0:
                await asyncio.sleep(0)
