"""Makes what is told tell back: links lead over us where clicks are tracked, and mails have a picture where opens are.

Only where a browser or a mail program opens them; an app of the sender's tells itself what was opened. The text part of a mail
keeps the addresses that stand in it, since readers see them there as they are.
"""

import asyncio
from typing import Final

from msgspec.structs import replace

from broker.click_links import ClickLinks
from broker.notification import Content, Device, Notification, Provider
from broker.open_links import OpenLinks
from broker.rendering.html_links import lead_links
from broker.unsubscribe import UnsubscribeLinks

__all__ = ["Leading"]

_OPENED_IN_BROWSERS: Final = frozenset({Provider.EMAIL, Provider.WEBPUSH})
# Up to here the links of a mail are found within a millisecond or two; what is longer is read in a thread.
_LONG_CHARS: Final = 32 * 1024


class Leading:
    """Knows what is tracked; without `clicks` and `opens` nothing is."""

    def __init__(self, clicks: ClickLinks | None, opens: OpenLinks | None, ways_out: UnsubscribeLinks | None) -> None:
        self._clicks, self._opens, self._ways_out = clicks, opens, ways_out

    async def lead(self, told: Notification, device: Device) -> Notification:
        """Change what a device is told, whose texts are made."""
        content = told.content
        if self._clicks is not None and device.provider in _OPENED_IN_BROWSERS:
            content = await self._over_us(self._clicks, told.id, content)
        if self._opens is not None and device.provider is Provider.EMAIL:
            content = replace(content, pixel=self._opens.address(told.id))
        return told if content is told.content else replace(told, content=content)

    async def _over_us(self, clicks: ClickLinks, notification_id: str, content: Content) -> Content:
        """Lead the notification's own link and those of its HTML over us, but for the way out."""

        def lead(number: int, target: str) -> str:
            if self._ways_out is not None and self._ways_out.is_one(target):
                return target
            return clicks.address(notification_id, target, number)

        led = content.html
        if len(led) > _LONG_CHARS:
            led = await asyncio.to_thread(lead_links, led, lead)
        elif led:
            led = lead_links(led, lead)
        return replace(content, link=clicks.address(notification_id, content.link), html=led)
