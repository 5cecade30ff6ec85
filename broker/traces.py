"""Port: the traces that notifications belong to, for whoever adds to them later. Asked only where tracing is on."""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

import msgspec

__all__ = ["NotificationTrace", "Traces"]


class NotificationTrace(msgspec.Struct, frozen=True):
    """A notification's trace, as it was stored with it (`config.tracing`), and when that was."""

    notification_id: str
    trace: str
    created_at: datetime


class Traces(Protocol):
    """Reads the traces of notifications."""

    async def of(self, ids: Sequence[str]) -> Sequence[NotificationTrace]:
        """Read those that have one, in any order; ids that are unknown are passed over.

        Raises:
            StoreUnavailable: The store did not answer.
        """
