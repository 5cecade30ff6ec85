"""Port: where devices are being kept although a provider calls them gone, and the word of an operator on it."""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

import msgspec

__all__ = ["ClosedGuard", "DeletionGuards"]


class ClosedGuard(msgspec.Struct, frozen=True):
    """A guard that keeps devices: of which carrier, in which process, since when, and how many removals it held back."""

    carrier: str
    worker: str
    closed_at: datetime
    kept: int


class DeletionGuards(Protocol):
    """What the pipelines of all processes say of their guards. All raise `StoreUnavailable`."""

    async def report(self, worker: str, closed: Sequence[ClosedGuard]) -> frozenset[str]:
        """Say which guards of a process are closed now; those not named are open.

        Returns:
            The carriers that an operator has said to trust since the last report. Each is told once.
        """

    async def closed(self) -> Sequence[ClosedGuard]:
        """List closed guards by carrier and process, leaving out what its process has not repeated for a minute."""

    async def trust(self, carrier: str) -> int:
        """Have all guards of a carrier opened at their next report; tells how many there are."""
