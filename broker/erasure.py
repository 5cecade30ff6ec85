"""Port: one person's data goes."""

from collections.abc import Mapping
from typing import Protocol

__all__ = ["Erasure"]


class Erasure(Protocol):
    """Removes what is kept of a user."""

    async def erase(self, user: str) -> Mapping[str, int]:
        """Remove a user's devices, preferences, notifications and whatever else names the user or belongs to these.

        What is pending ends with it: no send begins after this. An escalation to somebody else that is pending goes too, since
        it tells what the user was told; one that has ended is a notification of whoever it went to. In several transactions,
        devices and preferences first; a call that failed may be repeated, and one for a user of whom nothing is kept is no
        error.

        Returns:
            How many rows went, by what they were (`devices`, `notifications`, `entries`, …); only what there was.
        Raises:
            StoreUnavailable: What was removed so far is gone; the rest is still there.
        """
