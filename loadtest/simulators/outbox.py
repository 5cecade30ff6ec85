"""What the simulators accepted: a bounded ring, oldest first, written before the provider's answer goes out."""

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
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


class _Unread:
    """A delivery whose content is read when somebody asks for it; `read` gives the other fields of `Item`."""

    __slots__ = ("address", "at", "notification_id", "provider", "read")

    def __init__(
        self,
        provider: ProviderName,
        address: str,
        notification_id: str | None,
        at: float,
        read: Callable[[], Mapping[str, Any]],
    ) -> None:
        self.provider, self.address, self.notification_id, self.at, self.read = provider, address, notification_id, at, read

    def item(self) -> Item:
        content = dict(self.read())
        if self.notification_id is not None:
            content["notification_id"] = self.notification_id
        return Item(provider=self.provider, address=self.address, at=self.at, **content)


class Outbox:
    """The ring. When full, the oldest item makes room for the newest."""

    def __init__(self, clock: Clock, *, capacity: int = 100_000) -> None:
        self._clock = clock
        self._capacity = capacity
        self._items: deque[Item | _Unread] = deque()
        self._has_unread = False
        # Lists, since most notifications have one item; the empty id, which may have all, is left out.
        self._items_by_notification: dict[str, list[Item | _Unread]] = {}
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
        self._append(Item(provider=provider, address=address, at=self._now(), **content))

    def record_unread(
        self, provider: ProviderName, address: str, notification_id: str | None, read: Callable[[], Mapping[str, Any]]
    ) -> None:
        """Append a delivery whose content takes long to read: that is done when somebody asks for it, also to find out which
        notification it is of where that is None."""
        self._has_unread = True
        self._append(_Unread(provider, address, notification_id, self._now(), read))

    def _now(self) -> float:
        return round(self._clock.now().timestamp(), 3)

    def _append(self, item: Item | _Unread) -> None:
        if len(self._items) >= self._capacity:
            self._forget_oldest()
        self._keep(item)
        self._recorded += 1
        self._changed.set()

    def _keep(self, item: Item | _Unread) -> None:
        self._items.append(item)
        if item.notification_id:
            self._items_by_notification.setdefault(item.notification_id, []).append(item)

    def items(self, *, notification_id: str | None = None, provider: str | None = None) -> list[Item]:
        """List items, oldest first, of one notification or one provider if named."""
        self._read_all()
        found = self._items_by_notification.get(notification_id, ()) if notification_id else self._items
        return [
            item
            for item in found
            if isinstance(item, Item) and notification_id in (None, item.notification_id) and provider in (None, item.provider)
        ]

    async def until(self, holds: Callable[[list[Item]], bool]) -> list[Item]:
        """Wait until `holds` is true of all items, oldest first, and return them. Unbounded: the caller has the deadline."""
        while not holds(items := self.items()):
            self._changed.clear()
            await self._changed.wait()
        return items

    def clear(self) -> None:
        self._has_unread = False
        self._items.clear()
        self._items_by_notification.clear()

    def _read_all(self) -> None:
        if not self._has_unread:
            return
        items = [item.item() if isinstance(item, _Unread) else item for item in self._items]
        self.clear()
        for item in items:
            self._keep(item)

    def _forget_oldest(self) -> None:
        # The oldest item of all is also the oldest of its notification.
        oldest = self._items.popleft()
        name = oldest.notification_id or ""
        siblings = self._items_by_notification.get(name, [])
        if len(siblings) > 1:
            del siblings[0]
        else:
            self._items_by_notification.pop(name, None)
