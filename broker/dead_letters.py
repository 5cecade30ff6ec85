"""Port: what could not be delivered, with the reason; listed, and tried anew when the reason is mended.

There is a letter for each delivery that ended without success, and one without a device for each notification that failed as
a whole. A delivery whose device is gone, or whose notification expired, is none: nothing could be mended there.
"""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Protocol

import msgspec

__all__ = ["MAX_REPLAYED", "DeadLetter", "DeadLetterFilter", "DeadLetters", "Replay", "Replayed"]

MAX_REPLAYED = 1000


class DeadLetter(msgspec.Struct, frozen=True):
    """One letter. Its id is a number as text, rising with time.

    `reason` is the outcome of the delivery, or `failed` for a notification as a whole, which has no device, route and
    provider. `address` is masked.
    """

    id: str
    notification_id: str
    user: str
    at: datetime
    reason: str
    detail: str
    route: str = ""
    provider: str = ""
    address: str = ""
    device_id: str = ""
    replayed_at: datetime | None = None


class DeadLetterFilter(msgspec.Struct, frozen=True):
    """Which letters are meant: those that meet every rule here; an empty rule lets all through."""

    provider: str = ""
    reason: str = ""
    since: datetime | None = None
    with_replayed: bool = False


class Replay(StrEnum):
    """What came of asking for a replay."""

    REPLAYED = "replayed"
    ALREADY = "already"  # it was replayed before, or is being tried at this moment
    EXPIRED = "expired"  # its notification is not worth telling any more
    ENDED = "ended"  # somebody saw it meanwhile, or called it off
    DEVICE_GONE = "device_gone"
    NOT_FOUND = "not_found"


class Replayed(msgspec.Struct, frozen=True):
    """What came of one letter."""

    id: str
    result: Replay


class DeadLetters(Protocol):
    """The letters. All methods raise `StoreUnavailable` when the store does not answer."""

    async def find(self, wanted: DeadLetterFilter, *, before: str = "", limit: int) -> Sequence[DeadLetter]:
        """List letters, the newest first, at most `limit`, beginning behind the letter with the id `before`."""

    async def replay(self, ids: Sequence[str], *, extend_ttl_s: float = 0.0, dry_run: bool = False) -> Sequence[Replayed]:
        """Have letters tried anew, all in one transaction; a repeat changes nothing.

        A delivery gets fresh attempts at its device, nothing else is repeated. A notification that failed as a whole begins
        again with its first route, by the devices and preferences of now. The timeline says so in either case, and what fails
        again leaves a letter again.

        Args:
            ids: At most `MAX_REPLAYED`.
            extend_ttl_s: Above 0: those that have expired live for so long from now.
            dry_run: Only tell what would come of it.
        Returns:
            What came of each, in the order asked.
        """
