"""Port: what the application is to be told of its notifications; the way from the record to the webhook.

Events are written in the transaction that makes them true, so that none is told that did not happen, and none is lost. They
leave in the order of a notification: its next one only after the one before was delivered or given up.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

import msgspec

__all__ = ["PendingEvent", "StatusEvent", "StatusEvents"]


class StatusEvent(msgspec.Struct, frozen=True, omit_defaults=True):
    """An event as the application gets it. `id` stays the same over repeats; `time` in Unix seconds; `address` is masked.

    The type is `delivery.<outcome>`, with the fields of a timeline's line, or `notification.<state>`. `traceparent` is that of
    the request, where it was traced. It, category and correlation id are left out where a user or an operator ended the
    notification.
    """

    id: str
    type: str
    notification_id: str
    user: str
    time: float
    category: str = ""
    correlation_id: str = ""
    route: str = ""
    provider: str = ""
    address: str = ""
    device_id: str = ""
    attempt: int = 0
    detail: str = ""
    traceparent: str = ""


class PendingEvent(msgspec.Struct, frozen=True):
    """An event that was claimed: its number, how often it was claimed (from 1), and its JSON."""

    number: int
    lease: str
    attempt: int
    created_at: datetime
    body: bytes


class StatusEvents(Protocol):
    """The events that are still to be delivered. All methods raise `StoreUnavailable`."""

    async def claim(self, *, limit: int, lease_until: datetime) -> Sequence[PendingEvent]:
        """Take due events, the longest due first, at most one of each notification: nobody else has the others meanwhile."""

    async def settle(
        self,
        *,
        delivered: Sequence[PendingEvent] = (),
        retried: Sequence[tuple[PendingEvent, datetime]] = (),
        given_up: Sequence[PendingEvent] = (),
    ) -> None:
        """Write down what came of claimed events; those whose lease ran out and went to another are left alone.

        What is given up lets its notification's later events go on; it is kept, and not tried again.
        """

    async def give_up(self, *, due_before: datetime, limit: int) -> int:
        """Give up events that have been due since before a moment, unclaimed, the longest due first; tells how many."""
