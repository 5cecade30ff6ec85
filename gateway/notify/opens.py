"""Where mails fetch the picture that tells that they were shown.

Whatever is asked for, the same picture is the answer, before anything is looked up: so it says to nobody whether an address is
one of ours, and nothing that goes wrong shows. What does not look like somebody who reads is not recorded (N-29).
"""

import base64
from datetime import timedelta
from typing import Final

from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from broker.errors import NotFound, StoreUnavailable
from broker.inbox_news import InboxChanged, nobody_asks
from broker.open_links import PATH, OpenLinks
from broker.outage import Outage
from broker.tracking import Tracking
from config.click_settings import OpenSettings
from config.clock import Clock
from gateway.notify.prefetching import is_machine, is_picture_proxy, looks_ahead

__all__ = ["open_routes"]

# A transparent GIF of one pixel (GIF89a, 42 bytes).
_PICTURE: Final = base64.b64decode("R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7")
_HEADERS: Final = {
    "Cache-Control": "no-store, private",
    "Cross-Origin-Resource-Policy": "cross-origin",  # it stands in pages of mail programs
    "X-Robots-Tag": "noindex",
}


class _Opens:
    def __init__(
        self, links: OpenLinks, tracking: Tracking, settings: OpenSettings, clock: Clock, changed: InboxChanged
    ) -> None:
        self._links, self._tracking, self._clock, self._changed = links, tracking, clock, changed
        self._is_seen, self._ignored = settings.counts_as_seen, timedelta(seconds=settings.ignore_within)
        self._outage = Outage("opens", clock)

    async def answer(self, request: Request) -> Response:
        """Serve the picture, and record what it tells when that is done."""
        is_read = request.method == "GET" and not looks_ahead(request) and not is_machine(request)
        task = None
        if is_read:
            task = BackgroundTask(self._record, request.path_params["token"], is_proxied=is_picture_proxy(request))
        return Response(_PICTURE, media_type="image/gif", headers=_HEADERS, background=task)

    async def _record(self, token: str, *, is_proxied: bool) -> None:
        try:
            notification_id = self._links.open(token)
            if is_proxied and not await self._is_late(notification_id):
                return
            user = (await self._tracking.opened(notification_id, is_seen=self._is_seen)).user
        except NotFound:
            return  # none of ours, or removed meanwhile
        except StoreUnavailable as exc:
            self._outage.failed(exc)
            return
        self._outage.ended()
        if self._is_seen:
            self._changed((user,))

    async def _is_late(self, notification_id: str) -> bool:
        """Whether a mail has been with its reader for long enough to be looked at."""
        mailed_at = await self._tracking.mailed_at(notification_id)
        return mailed_at is not None and self._clock.now() - mailed_at >= self._ignored


def open_routes(
    links: OpenLinks, tracking: Tracking, settings: OpenSettings, clock: Clock, changed: InboxChanged = nobody_asks
) -> list[Route]:
    """Make the route of pictures."""
    return [Route(f"{PATH}{{token}}", _Opens(links, tracking, settings, clock, changed).answer, methods=["GET"])]
