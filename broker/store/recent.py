"""Which notifications ended lately, in memory and bounded."""

from typing import Final

__all__ = ["RecentlyEnded"]

_LIMIT: Final = 20_000


class RecentlyEnded:
    """The last ids that were added; the oldest make room."""

    def __init__(self, limit: int = _LIMIT) -> None:
        self._limit = limit
        self._ids: dict[str, None] = {}  # in the order of adding

    def add(self, notification_id: str) -> None:
        self._ids.pop(notification_id, None)
        self._ids[notification_id] = None
        if len(self._ids) > self._limit:
            del self._ids[next(iter(self._ids))]

    def discard(self, notification_id: str) -> None:
        """Forget an id: it has begun anew."""
        self._ids.pop(notification_id, None)

    def __contains__(self, notification_id: str) -> bool:
        return notification_id in self._ids

    def __len__(self) -> int:
        return len(self._ids)
