"""Port: what processes on one store tell each other, so that nobody has to poll in a hurry.

A signal may be lost, and then nothing is but time: whoever waits for work also looks by himself, and an end that was not heard
of is seen at the next claim. So signals are sent after a commit, apart from it: a commit never waits for them.
"""

from collections.abc import Callable
from typing import Protocol

__all__ = ["Signals", "Silence"]


class Signals(Protocol):
    """A way to the other processes that have the same store open. Nothing raises; all is called in the loop's thread."""

    def tell_work(self) -> None:
        """Tell the others that something is due now."""

    def tell_ended(self, notification_id: str) -> None:
        """Tell the others that a user or an operator ended a notification."""

    def hear(self, on_work: Callable[[], None], on_ended: Callable[[str], None]) -> None:
        """Say whom to call with what others tell; what is told before is not heard."""

    async def close(self) -> None:
        """Tell what is left to tell, and end; may come twice."""


class Silence:
    """Where processes have no way to each other: they find work by looking for it."""

    def tell_work(self) -> None:
        pass

    def tell_ended(self, notification_id: str) -> None:
        pass

    def hear(self, on_work: Callable[[], None], on_ended: Callable[[str], None]) -> None:
        pass

    async def close(self) -> None:
        pass
