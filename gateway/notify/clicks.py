"""Where links that tell of a click arrive: the click is recorded, and the person led on at once.

Whatever goes wrong with recording, they come where they wanted to. What only looks ahead counts as no click: HEAD, and browsers
that fetch in advance and say so. Scanners of mail that open every link like a person cannot be told apart.
"""

from typing import Final
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from broker.click_links import PATH, Click, ClickLinks
from broker.errors import NotFound, StoreUnavailable
from broker.inbox_news import InboxChanged, nobody_asks
from broker.outage import Outage
from broker.tracking import Tracking
from config.clock import Clock
from gateway.notify.prefetching import looks_ahead

__all__ = ["click_routes"]

_HEADERS: Final = {"X-Robots-Tag": "noindex"}
# RFC 3986 §2: what may stand in an address as it is; everything else is written in hexadecimal, so that no header breaks.
_AS_IT_IS: Final = ":/%#?=@[]!$&'()*+,;~"


class _Clicks:
    def __init__(self, links: ClickLinks, tracking: Tracking, changed: InboxChanged, clock: Clock) -> None:
        self._links, self._tracking, self._changed = links, tracking, changed
        self._outage = Outage("clicks", clock)

    async def answer(self, request: Request) -> Response:
        """Serve one link."""
        try:
            click = self._links.open(request.path_params["token"])
        except NotFound:
            return PlainTextResponse("this link is not valid: it may have been cut off\n", 404, headers=_HEADERS)
        if request.method == "GET" and not looks_ahead(request):
            await self._record(click)
        return Response(status_code=302, headers={**_HEADERS, "Location": quote(click.target, safe=_AS_IT_IS)})

    async def _record(self, click: Click) -> None:
        try:
            user = (await self._tracking.clicked(click.notification_id, click.link, click.target)).user
        except NotFound:
            return  # removed by age or erased: nothing is left to be marked
        except StoreUnavailable as exc:
            self._outage.failed(exc)
            return
        self._outage.ended()
        self._changed((user,))


def click_routes(links: ClickLinks, tracking: Tracking, clock: Clock, changed: InboxChanged = nobody_asks) -> list[Route]:
    """Make the route of links."""
    return [Route(f"{PATH}{{token}}", _Clicks(links, tracking, changed, clock).answer, methods=["GET"])]
