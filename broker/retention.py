"""Port: what is old goes."""

from datetime import datetime
from typing import Protocol

__all__ = ["Retention"]


class Retention(Protocol):
    """Removes what nobody will ask for any more, a bounded piece at a time, so that nobody else waits for long."""

    async def sweep(self, *, before: datetime, limit: int) -> int:
        """Remove finished notifications that were accepted before a moment, with all that belongs to them.

        Pending ones stay, however old. Several processes may sweep at the same time.

        Args:
            limit: At most so many, the oldest first.
        Returns:
            How many were looked at; less than `limit` means that nothing older is left.
        Raises:
            StoreUnavailable: Nothing was removed, or it is not known; the same call may succeed later.
        """

    async def sweep_keys(self) -> int:
        """Remove idempotency keys that count as unseen, a bounded number; tells how many.

        Raises:
            StoreUnavailable: As above.
        """
