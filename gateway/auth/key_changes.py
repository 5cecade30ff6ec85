"""Tells the store which keys issuers publish, as soon as they change here; what was a change for the fleet goes to the audit.

Nobody who waits for a key waits for this. While the store is away the newest is kept, so that what changed meanwhile is one
change; what was not told before a node died is told by whoever fetches the keys next.
"""

from collections.abc import Mapping
from typing import Final

from broker.bell import Bell
from broker.errors import StoreUnavailable
from broker.published_keys import PublishedKeys
from config.clock import Clock

__all__ = ["KeyChanges"]

_RETRY_S: Final = 5.0


class KeyChanges:
    """What is still to be told, at most one set per issuer."""

    def __init__(self, kept: PublishedKeys, clock: Clock) -> None:
        self._kept, self._clock = kept, clock
        self._untold: dict[str, Mapping[str, str]] = {}
        self._due = Bell(clock)

    def saw(self, issuer: str, keys: Mapping[str, str]) -> None:
        """Take down what an issuer publishes now: digests by kid."""
        self._untold[issuer] = keys
        self._due.ring()

    async def run(self) -> None:
        """Tell it until the store has answered, until cancelled."""
        while True:
            await self._due.wait()
            while self._untold:
                issuer, keys = next(iter(self._untold.items()))
                try:
                    await self._kept.note(issuer, keys)
                except StoreUnavailable:
                    await self._clock.sleep(_RETRY_S * (0.5 + self._clock.spread()))
                    continue
                if self._untold[issuer] is keys:  # else it has changed again meanwhile
                    del self._untold[issuer]
