"""Port: the notifications of each user as a list that stays when they have been told, with what the user did about them."""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Final, Protocol

import msgspec

from broker.confirmations import Mark, Place
from broker.notification import Notification

__all__ = ["COUNT_CAP", "MAX_MARKED", "MAX_PAGE", "PLACES", "Inbox", "InboxCounts", "InboxEntry", "InboxPage", "Shelf"]

COUNT_CAP: Final = 1000
MAX_MARKED: Final = 1000
MAX_PAGE: Final = 100


class Shelf(StrEnum):
    """What a list shows of an inbox."""

    INBOX = ""  # all that is not archived
    UNSEEN = "unseen"
    UNREAD = "unread"
    ARCHIVED = "archived"


PLACES: Final[Mapping[Shelf, tuple[Place, ...]]] = {
    Shelf.INBOX: (Place.UNSEEN, Place.UNREAD, Place.READ),
    Shelf.UNSEEN: (Place.UNSEEN,),
    Shelf.UNREAD: (Place.UNSEEN, Place.UNREAD),
    Shelf.ARCHIVED: (Place.ARCHIVED,),
}


class InboxCounts(msgspec.Struct, frozen=True):
    """How many lie there; what is unseen is unread too. Each stops at `COUNT_CAP`, which then means that many or more."""

    unseen: int = 0
    unread: int = 0


class InboxEntry(msgspec.Struct, frozen=True):
    """A notification, and where it lies."""

    notification: Notification
    place: Place


class InboxPage(msgspec.Struct, frozen=True):
    """Entries, newest first; `next_cursor` is where to go on, empty at the end."""

    entries: Sequence[InboxEntry]
    next_cursor: str = ""


class Inbox(Protocol):
    """Inboxes. All methods raise `StoreUnavailable` when the store does not answer."""

    async def page(self, user: str, shelf: Shelf, *, category: str = "", cursor: str = "", limit: int) -> InboxPage:
        """Read a page.

        Args:
            category: Only of this one, if set. A page may then be shorter than `limit`, even empty, with more to follow: a
                page looks at so many notifications, not at all there are.
            cursor: `next_cursor` of the page before; what came since does not move a page.
        """

    async def counts(self, users: Sequence[str]) -> Sequence[InboxCounts]:
        """Count for each user, in their order."""

    async def mark(self, user: str, ids: Sequence[str], mark: Mark) -> Sequence[str]:
        """Mark those of `ids` that are the user's, in one transaction; others are passed over.

        A mark that says "seen" ends what is pending, as `Ledger.acknowledge` does.

        Returns:
            Those of them that it acknowledged, which nobody had before.
        """

    async def mark_all(self, user: str, mark: Mark) -> Sequence[str]:
        """Mark everything that the mark moves, but nothing that is archived; in as many transactions as it takes.

        Returns:
            As `mark`, at most `MAX_MARKED`.
        """
