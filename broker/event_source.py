"""Port: a log that an application writes calls of the API into, instead of making them over HTTP.

At least once: an item that is fetched and not settled, because its process died or the source was away, is fetched again, by
this process or another. So what it calls for may happen twice, and its `token` is there to make the second time harmless.

Items with one key are fetched and settled in their order where the source can keep it; each source says whether it can.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

import msgspec

__all__ = ["Again", "Backlog", "Dead", "Done", "EventSource", "Item", "Settled"]


class Item(msgspec.Struct, frozen=True):
    """A call of the API that somebody asks for.

    Attributes:
        id: What the source calls it, for people who look for it there.
        method: Name of an API method.
        payload: The request, as JSON.
        key: Items with the same key are to be carried out one after the other.
        attempt: Which try this is, from 1, as far as tries were counted.
        token: No other item ever has it, and this one has it each time.
        fault: Why the source could not read it; then all else but the id may be empty.
        trace: The `traceparent` of whoever wrote it, where they said one; it is checked where it is used.
    """

    id: str
    method: str
    payload: bytes
    key: str = ""
    attempt: int = 1
    token: str = ""
    fault: str = ""
    trace: str = ""


class Done(msgspec.Struct, frozen=True):
    """It was carried out: the source may forget it."""


class Dead(msgspec.Struct, frozen=True):
    """It never will be: the source puts it aside with the reason, where people find it."""

    reason: str


class Again(msgspec.Struct, frozen=True):
    """It was not carried out, or that is not known: try again when `delay_s` has passed.

    Nothing of the same key comes before it, where the source keeps order. A try that does not count was no fault of the item.
    """

    delay_s: float
    counts: bool = True


Settled = tuple[Item, Done | Dead | Again]


class Backlog(msgspec.Struct, frozen=True):
    """How many items are there (about), and since when the oldest waits; None where there is none, or it is not known."""

    items: int
    oldest_at: datetime | None = None


class EventSource(Protocol):
    """One log. Its calls are made one after the other, but for `close`.

    All raise `Unavailable` when it does not answer; what was fetched then counts as not settled.
    """

    async def open(self) -> None:
        """Look whether it is there and is what it should be; connections that end later come back by themselves.

        Raises:
            BadInput: It is not, and stays so until somebody acts.
        """

    async def fetch(self, limit: int) -> Sequence[Item]:
        """Take the next items, in their order, so that nobody else gets them or a later one of their keys meanwhile.

        They are this caller's until it settles them, fetches again, or is away for longer than the source waits.
        """

    async def settle(self, settled: Sequence[Settled]) -> None:
        """Write what became of fetched items, in one step where the source can; those that are not named come again."""

    async def wait(self, seconds: float) -> None:
        """Wait until there may be something new, at most so long."""

    async def backlog(self) -> Backlog:
        """Tell how much there is to do."""

    async def close(self) -> None:
        """Let go of everything that is held, for others to take at once; may come twice, or before the start."""
