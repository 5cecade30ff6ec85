"""Port: streams of past publications, one per channel."""

from typing import Protocol

from broker.model import Position, Slice

__all__ = ["ALL", "History"]

ALL = -1


class History(Protocol):
    """Streams addressed by (offset, epoch).

    Offsets rise by one per publication, from 1, within an epoch: one unbroken life of the stream. An engine may lose streams,
    and must then change the epoch. A first read of a channel begins its stream at top 0 with a fresh epoch.
    """

    async def read(
        self,
        channel: str,
        *,
        since: Position | None,
        limit: int,
        reverse: bool = False,
        meta_ttl_s: float = 720 * 3600.0,
    ) -> Slice:
        """Read a part of a stream.

        Args:
            since: Read what lies after it (before it in reverse); None starts at the oldest kept (newest in reverse). An
                empty epoch in it matches any. Where older publications are gone, the slice starts at the oldest kept;
                in reverse it is empty when the one just before `since` is gone.
            limit: At most this many; 0 asks for the top only, `ALL` sets no limit.
            meta_ttl_s: How long the position is to outlive its last use.
        Raises:
            PositionLost: `since` has another epoch.
            EngineUnavailable: Nothing was read; the same call may succeed later.
        """

    async def remove(self, channel: str) -> None:
        """Drop a stream's publications; its top and epoch stay."""
