"""What the simulators accepted: a bounded ring, oldest first, written before the provider's answer goes out."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any

import msgspec

from config.clock import Clock
from loadtest.simulators.exchange import ProviderName

__all__ = ["Item", "Outbox"]


class Item(msgspec.Struct, frozen=True, omit_defaults=True):
    """One accepted delivery. `at` is when it was received, in Unix seconds with milliseconds.

    `address` is written as it was registered: a token, a mailbox, or the endpoint of a Web Push subscription.
    `decrypted` is False for a Web Push message to a subscription that was not minted here: its content stays unknown.
    """

    provider: ProviderName
    address: str
    title: str
    body: str
    notification_id: str
    at: float
    link: str = ""
    image: str = ""
    data: dict[str, Any] = {}
    html: str = ""
    headers: dict[str, str] = {}
    decrypted: bool | None = None


class Outbox:
    """The ring. When full, the oldest item makes room for the newest."""

    def __init__(self, clock: Clock, *, capacity: int = 100_000) -> None:
        self._clock = clock
        self._capacity = capacity
        self._items: deque[Item] = deque()
        # Lists, since most notifications have one item; the empty id, which may have all, is left out.
        self._items_by_notification: dict[str, list[Item]] = {}
        self._recorded = 0
        self._changed = asyncio.Event()

    def __len__(self) -> int:
        return len(self._items)

    @property
    def recorded(self) -> int:
        """How many items were ever recorded, those that made room included."""
        return self._recorded

    def record(self, provider: ProviderName, address: str, **content: Any) -> None:
        """Append a delivery, stamped with the time of now; `content` are the further fields of `Item`."""
        item = Item(provider=provider, address=address, at=round(self._clock.now().timestamp(), 3), **content)
        if len(self._items) >= self._capacity:
            self._forget_oldest()
        self._items.append(item)
        if item.notification_id:
            self._items_by_notification.setdefault(item.notification_id, []).append(item)
        self._recorded += 1
        self._changed.set()

    def items(self, *, notification_id: str | None = None, provider: str | None = None) -> list[Item]:
        """List items, oldest first, of one notification or one provider if named."""
        found = self._items_by_notification.get(notification_id, ()) if notification_id else self._items
        return [item for item in found if notification_id in (None, item.notification_id) and provider in (None, item.provider)]

    async def until(self, holds: Callable[[list[Item]], bool]) -> list[Item]:
        """Wait until `holds` is true of all items, oldest first, and return them. Unbounded: the caller has the deadline."""
        while not holds(items := list(self._items)):
            self._changed.clear()
            await self._changed.wait()
        return items

    def clear(self) -> None:
        self._items.clear()
        self._items_by_notification.clear()

    def _forget_oldest(self) -> None:
        # The oldest item of all is also the oldest of its notification.
        oldest = self._items.popleft()
        siblings = self._items_by_notification.get(oldest.notification_id, [])
        if len(siblings) > 1:
            del siblings[0]
        else:
            self._items_by_notification.pop(oldest.notification_id, None)
