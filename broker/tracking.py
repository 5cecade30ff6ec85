"""Port: what links and pixels in mails tell, which name a notification and nobody."""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

import msgspec

__all__ = ["ClickedLink", "Tracked", "Tracking"]


class ClickedLink(msgspec.Struct, frozen=True):
    """A link that was clicked: its number within the mail (0 is the notification's own), where it leads, when it was clicked
    first, and how often."""

    link: int
    target: str
    first_at: datetime
    clicks: int


class Tracked(msgspec.Struct, frozen=True):
    """Whose notification it is, and its id where it was acknowledged by this, which nobody had done before."""

    user: str
    acknowledged: tuple[str, ...] = ()


class Tracking(Protocol):
    """Records what was clicked and shown, each in one transaction with all that follows from it.

    All raise `NotFound` where there is no such notification (any more), and `StoreUnavailable`.
    """

    async def clicked(self, notification_id: str, link: int, target: str) -> Tracked:
        """Record a click on a link of a notification, which acknowledges it."""

    async def opened(self, notification_id: str, *, is_seen: bool) -> Tracked:
        """Record that its mail was shown, which acknowledges it only where that counts as seen."""

    async def mailed_at(self, notification_id: str) -> datetime | None:
        """Tell when a relay first took a mail of it; None where none has, as far as is written down."""

    async def clicks_of(self, notification_id: str) -> Sequence[ClickedLink]:
        """List the links that were clicked, by their numbers."""
