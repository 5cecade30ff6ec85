"""Which other nodes there are, asked no oftener than needed: for requests that name the node that they are meant for."""

import asyncio
from typing import Final

from broker.control import Control
from config.clock import Clock

__all__ = ["Neighbours"]

# A node that was there so recently is taken to be there.
_TRUST_S: Final = 30.0
# Names that nobody bears do not make us ask the fleet oftener than this.
_PAUSE_S: Final = 1.0


class Neighbours:
    """Remembers who answered."""

    def __init__(self, control: Control, clock: Clock) -> None:
        self._control, self._clock = control, clock
        self._seen_at: dict[str, float] = {}
        self._asked_at = -_PAUSE_S
        self._asking = asyncio.Lock()

    async def knows(self, uid: str) -> bool:
        """Tell whether a node with this uid is in the fleet, or was a moment ago.

        Raises:
            EngineUnavailable: Nobody can be asked.
        """
        if self._saw(uid):
            return True
        async with self._asking:
            now = self._clock.monotonic()
            if not self._saw(uid) and now - self._asked_at >= _PAUSE_S:
                self._asked_at = now
                self._seen_at = {node.uid: now for node in await self._control.nodes()}
        return self._saw(uid)

    def _saw(self, uid: str) -> bool:
        seen_at = self._seen_at.get(uid)
        return seen_at is not None and self._clock.monotonic() - seen_at < _TRUST_S
