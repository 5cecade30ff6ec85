"""Which notifications ended lately, in memory and bounded."""

from collections import OrderedDict
from typing import Final

__all__ = ["RecentlyEnded"]

_LIMIT: Final = 20_000


class RecentlyEnded:
    """The last ids that were added; the oldest make room."""

    def __init__(self, limit: int = _LIMIT) -> None:
        self._limit = limit
        # In the order of adding. Not a plain dict: finding its oldest key passes over all that were removed before it.
        self._ids: OrderedDict[str, None] = OrderedDict()

    def add(self, notification_id: str) -> None:
        self._ids[notification_id] = None
        self._ids.move_to_end(notification_id)
        if len(self._ids) > self._limit:
            self._ids.popitem(last=False)

    def discard(self, notification_id: str) -> None:
        """Forget an id: it has begun anew."""
        self._ids.pop(notification_id, None)

    def __contains__(self, notification_id: str) -> bool:
        return notification_id in self._ids

    def __len__(self) -> int:
        return len(self._ids)
