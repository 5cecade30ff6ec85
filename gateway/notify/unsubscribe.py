"""The pages behind the links that take somebody off a list: GET asks, POST does it (RFC 8058 §3.2, N-23).

Mail programs and scanners open links by themselves, so that a GET must change nothing. A POST needs no cookie, no login and no
second step, and is answered without a redirect; whatever it brings is not read, for the link says everything.
"""

import html
from typing import Final

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from broker.caller import Actor, ActorKind, Caller, bind_caller
from broker.errors import NotFound, StoreUnavailable
from broker.notification import Preference
from broker.preferences import ANY, Preferences
from broker.unsubscribe import PATH, OptOut, UnsubscribeLinks
from config.logs import get_logger
from gateway.web_headers import page_headers, style_hash

__all__ = ["unsubscribe_routes"]

_log = get_logger()

_STYLE: Final = """
:root { color-scheme: light dark; }
body { margin: 0; min-height: 100vh; display: grid; place-items: center; font: 16px/1.5 system-ui, sans-serif; }
main { max-width: 26rem; padding: 2rem; }
h1 { font-size: 1.4rem; margin: 0 0 .75rem; }
button { font: inherit; font-weight: 600; padding: .7rem 1.4rem; border: 0; border-radius: .5rem; }
button { background: #1f5fd6; color: #fff; }
button:focus-visible { outline: 3px solid #8db4ff; outline-offset: 2px; }
"""
_HEADERS: Final = {**page_headers(cache="no-store", forms=True, style=style_hash(_STYLE)), "X-Robots-Tag": "noindex"}
_PAGE: Final = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<main>
<h1>{title}</h1>
<p>{text}</p>
{form}
</main>
</body>
</html>
"""
_FORM: Final = '<form method="post"><button type="submit">Unsubscribe</button></form>'


class _Pages:
    def __init__(self, links: UnsubscribeLinks, preferences: Preferences) -> None:
        self._links, self._preferences = links, preferences

    async def answer(self, request: Request) -> Response:
        """Serve one link."""
        try:
            opt_out = self._links.open(request.path_params["token"])
        except NotFound:
            return _page(404, "This link is not valid", "It may have been cut off. Please open it from the mail again.")
        if request.method != "POST":
            text = f"You will get no more {_subject(opt_out)}."
            return _page(200, "Unsubscribe?", text, _FORM)
        address = request.client.host if request.client else ""
        bind_caller(Caller(Actor(ActorKind.USER, opt_out.user), address, "unsubscribe"))
        try:
            await self._preferences.set(opt_out.user, [Preference(opt_out.category, opt_out.route, enabled=False)])
        except StoreUnavailable as exc:
            page = _page(503, "Please try again", "We could not take this down right now. Please try again in a moment.")
            page.headers["Retry-After"] = str(max(1, round(exc.retry_after_s)))
            return page
        _log.info("user.unsubscribed", category=opt_out.category, route=opt_out.route)
        return _page(200, "You are unsubscribed", f"You will get no more {_subject(opt_out)}.")


def unsubscribe_routes(links: UnsubscribeLinks | None, preferences: Preferences) -> list[Route]:
    """Make the route, where links are made at all."""
    if links is None:
        return []
    return [Route(f"{PATH}{{token}}", _Pages(links, preferences).answer, methods=["GET", "POST"])]


def _subject(opt_out: OptOut) -> str:
    kind = "messages" if opt_out.category == ANY else f'messages about "{html.escape(opt_out.category)}"'
    return f"{kind} by {html.escape(opt_out.route)}"


def _page(status: int, title: str, text: str, form: str = "") -> HTMLResponse:
    return HTMLResponse(_PAGE.format(style=_STYLE, title=title, text=text, form=form), status_code=status, headers=_HEADERS)
