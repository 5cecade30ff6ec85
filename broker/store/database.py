"""How the store's parts reach a database: plain functions on a connection, run as reads or as durable writes."""

from collections.abc import Callable
from typing import Protocol, TypeVar

from sqlalchemy import Connection

__all__ = ["Database"]

T = TypeVar("T")


class Database(Protocol):
    """One database. Its methods raise `StoreUnavailable` when it does not answer.

    `work` runs on a connection in a transaction; it must keep nothing in memory, for it may run a second time.
    """

    async def read(self, work: Callable[[Connection], T]) -> T:
        """Run what only reads, on one snapshot where the database has them."""

    async def write(
        self,
        work: Callable[[Connection], T],
        after: Callable[[T], None] | None = None,
        *,
        rows: int = 1,
        urgent: bool = False,
    ) -> T:
        """Run what writes, and answer once it is committed.

        What `work` raises undoes it, and is raised here. A cancelled caller does not cut it short.

        Args:
            after: Called with the answer in the loop's thread right after the commit, whether or not the caller still waits.
            rows: About how many rows of the queue it concerns: where writes share a transaction, it holds so much only.
            urgent: It goes before what waits already, where writes wait for each other.
        """

    async def close(self) -> None:
        """Finish what is under way and let go of everything; may come twice."""
