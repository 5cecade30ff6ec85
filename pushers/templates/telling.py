"""Puts a notification into the words of one reader, right before it is told.

It happens here and not when the notification is accepted, because only now the device is known, and with it the language; what
is told was pinned then, by name and version. Most notifications bring their texts with them and pass untouched.
"""

from collections.abc import Mapping, Sequence

from msgspec.structs import replace

from broker.click_links import ClickLinks
from broker.errors import StoreUnavailable
from broker.notification import Device, Lane, Notification, Provider, Route
from broker.open_links import OpenLinks
from broker.rendering.errors import Unrenderable
from broker.rendering.renderer import Renderer
from broker.unsubscribe import OptOut, UnsubscribeLinks
from pushers.outcome import DropMessage, Retry
from pushers.templates.leading import Leading

__all__ = ["Telling"]


class Telling:
    """Knows languages, templates and links."""

    def __init__(
        self,
        renderer: Renderer,
        links: UnsubscribeLinks | None = None,
        clicks: ClickLinks | None = None,
        opens: OpenLinks | None = None,
        *,
        required: frozenset[str] = frozenset(),
    ) -> None:
        self._renderer, self._links, self._required = renderer, links, required
        self._leading = Leading(clicks, opens, links)

    async def to_device(
        self, notification: Notification, device: Device, *, locale: str = ""
    ) -> Notification | DropMessage | Retry:
        """Make what a device is told, or say what becomes of the delivery instead; `locale` is what its user has asked for,
        which goes before the device's own."""
        told = await self._in_words(notification, device, locale)
        return told if isinstance(told, DropMessage | Retry) else await self._leading.lead(told, device)

    async def _in_words(self, notification: Notification, device: Device, locale: str) -> Notification | DropMessage | Retry:
        is_mail = device.provider is Provider.EMAIL
        if notification.content.is_worded and not is_mail:
            return notification
        unsubscribe = self._way_out(notification) if is_mail else ""
        try:
            told = await self._worded(notification, device.provider.route, (locale, device.locale), unsubscribe)
        except Unrenderable as exc:
            return DropMessage(str(exc))
        except StoreUnavailable as exc:
            return Retry(str(exc), exc.retry_after_s, is_failure=False)
        return replace(told, content=replace(told.content, unsubscribe=unsubscribe)) if unsubscribe else told

    async def to_user(self, notification: Notification, devices: Sequence[Device], *, locale: str = "") -> Notification:
        """Make what a user's connections are told: a connection names no language, so that which the user has asked for
        (`locale`) is taken, then that of the newest device that names one.

        Raises:
            Unrenderable: It cannot be told live.
            StoreUnavailable: Nothing is known; try again.
        """
        if notification.content.is_worded:
            return notification
        newest = next((device.locale for device in reversed(devices) if device.locale), "")
        return await self._worded(notification, Route.LIVE, (locale, newest), "")

    async def _worded(
        self, notification: Notification, route: Route, locales: tuple[str, str], unsubscribe: str
    ) -> Notification:
        if notification.content.is_worded:
            return notification
        own: Mapping[str, str] = {"unsubscribe_url": unsubscribe}
        content = await self._renderer.render(notification.content, route, locales[0], own, or_locale=locales[1])
        return replace(notification, content=content)

    def _way_out(self, notification: Notification) -> str:
        """Tell the link that ends such mails. What must reach somebody is no list to be left: critical ones have none, and
        neither have those of categories that are required."""
        if self._links is None or notification.lane is Lane.CRITICAL or notification.content.category in self._required:
            return ""
        return self._links.address(OptOut(notification.user, notification.content.category, Route.EMAIL))
