"""The routes of the operator's page: the page and its files, login and logout, calls of the API, figures.

Whatever acts is a POST that must come from the page itself (`Origin`, and `Sec-Fetch-Site` where a browser sends it), with the
session's cookie, which no other site's request carries (`SameSite=Strict`), and with the session's own word in `X-CSRF-Token`,
which no other site can read. Each of the three would do; together they forgive a browser one mistake.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from broker.audit import Act, Decision, Witness
from broker.caller import Actor, ActorKind, Caller, bind_caller
from broker.errors import Unavailable
from config.clock import Clock
from config.logs import get_logger
from gateway.admin.attempts import Attempts
from gateway.admin.figures import FigureDesk
from gateway.admin.passwords import PASSWORD_MAX_BYTES, Passwords
from gateway.admin.place import Place, Surroundings
from gateway.admin.rights import OPERATES, may_call
from gateway.admin.sessions import Session, Sessions
from gateway.api.call import Calls, Malformed
from gateway.api.errors import ApiError
from gateway.demo.page import PageFile, read_page_files
from gateway.web_headers import page_headers

__all__ = ["PATH", "AdminPage"]

_log = get_logger()

PATH: Final = "/admin"
_INDEX: Final = "index.html"
# What both pages are made of lies with the older one.
_SHARED: Final = ("client.js", "colours.css", "dom.js", "mark.svg")
_LOGIN_MAX_BYTES: Final = 2048
_BODY_MAX_BYTES: Final = 256 * 1024
_HASHES_AT_ONCE: Final = 2  # each needs its megabytes


class _Login(msgspec.Struct, forbid_unknown_fields=True):
    name: Annotated[str, Meta(max_length=64)]
    password: Annotated[str, Meta(max_length=PASSWORD_MAX_BYTES)]


class _Refusal(Exception):
    def __init__(self, status: int, message: str, *, retry_after_s: int = 0) -> None:
        super().__init__(message)
        self.status, self.message, self.retry_after_s = status, message, retry_after_s


class _Told(msgspec.Struct, omit_defaults=True):
    """What the page is told of its session; empty where nobody has logged in."""

    name: str = ""
    role: str = ""
    csrf: str = ""
    ends_at: int = 0


class _Visit(msgspec.Struct, frozen=True):
    """A request by somebody who has logged in."""

    request: Request
    place: Place
    session: Session


_login = msgspec.json.Decoder(_Login)
_Endpoint = Callable[[Request], Awaitable[Response]]
_Visited = Callable[[_Visit], Awaitable[Response]]


class AdminPage:
    """Makes the routes. Reads the page's files, so it blocks: make it before serving."""

    def __init__(
        self,
        surroundings: Surroundings,
        sessions: Sessions,
        passwords: Passwords,
        attempts: Attempts,
        calls: Calls,
        desk: FigureDesk,
        witness: Witness,
        clock: Clock,
    ) -> None:
        self._surroundings, self._sessions, self._passwords = surroundings, sessions, passwords
        self._attempts, self._calls, self._desk = attempts, calls, desk
        self._witness, self._clock = witness, clock
        shared = read_page_files()
        self._files = {name: shared[name] for name in _SHARED} | read_page_files(__package__)
        self._hashing = asyncio.Semaphore(_HASHES_AT_ONCE)

    @property
    def routes(self) -> list[Route]:
        """The routes, all below `/admin`."""
        return [
            Route(PATH, self._file, methods=["GET"]),
            Route(f"{PATH}/session", _answered(self._tell_session), methods=["GET"]),
            Route(f"{PATH}/login", _answered(self._log_in), methods=["POST"]),
            Route(f"{PATH}/logout", _answered(self._acting(self._log_out)), methods=["POST"]),
            Route(f"{PATH}/live", _answered(self._acting(self._give_pass)), methods=["POST"]),
            Route(f"{PATH}/figures", _answered(self._reading(self._tell_figures)), methods=["GET"]),
            Route(f"{PATH}/api/methods", _answered(self._reading(self._list_methods)), methods=["GET"]),
            Route(f"{PATH}/api/{{method}}", _answered(self._acting(self._call)), methods=["POST"]),
            Route(f"{PATH}/{{name}}", self._file, methods=["GET"]),
        ]

    # The page.

    async def _file(self, request: Request) -> Response:
        place = self._place(request)
        if place is None:
            return Response(f"{_UNSAFE.message}\n", _UNSAFE.status, media_type="text/plain")
        found: PageFile | None = self._files.get(request.path_params.get("name", _INDEX))
        if found is None:
            return Response("not found\n", 404, media_type="text/plain")
        # The socket's address is spelt out because not every browser lets 'self' cover ws: (CSP level 3, §6.7.2.8).
        headers = page_headers(script="'self'", style="'self'", img="'self'", connect=f"'self' {place.socket_origin}")
        return Response(found.body, headers=headers | {"Content-Type": found.content_type})

    # Sessions.

    async def _tell_session(self, request: Request) -> Response:
        place = self._require_place(request)
        session = self._session_of(request, place)
        return _json(_Told() if session is None else self._told(session))

    async def _log_in(self, request: Request) -> Response:
        place = self._require_own(request)
        try:
            asked = _login.decode(await _body(request, _LOGIN_MAX_BYTES))
        except (msgspec.MsgspecError, UnicodeDecodeError):
            raise _Refusal(400, "name and password are needed") from None
        address = _address(request)
        if wait_s := self._attempts.count(address, asked.name):
            self._note_login(address, asked.name, "admin.attempts")
            raise _Refusal(429, f"too many tries, come back in {wait_s} seconds", retry_after_s=wait_s)
        async with self._hashing:
            fits = await asyncio.to_thread(self._passwords.fits, asked.name, asked.password)
        if not fits:
            self._note_login(address, asked.name, "admin.users")
            raise _Refusal(401, "name or password is wrong")
        value, session = self._sessions.open(asked.name)
        self._note_login(address, asked.name, "")
        response = _json(self._told(session))
        self._set_cookie(response, place, value, session.ends_at)
        return response

    async def _log_out(self, visit: _Visit) -> Response:
        await self._sessions.end(visit.session)
        self._witness.record(Act("admin.logout", decision=Decision.GRANTED))
        response = _json(_Told())
        self._set_cookie(response, visit.place, "", 0)
        return response

    def _told(self, session: Session) -> _Told:
        return _Told(session.name, session.role, self._sessions.csrf_of(session), session.ends_at)

    def _set_cookie(self, response: Response, place: Place, value: str, ends_at: int) -> None:
        age_s = max(0, ends_at - int(self._clock.now().timestamp()))
        # RFC 6265bis §4.1.3.2: __Host- needs Path=/ and no Domain.
        path = "/" if place.is_secure else PATH
        response.set_cookie(
            place.cookie, value, max_age=age_s, path=path, secure=place.is_secure, httponly=True, samesite="strict"
        )

    def _note_login(self, address: str, name: str, rule: str) -> None:
        """Tell the audit; a name that nobody has may be a password in the wrong field, and is not written down."""
        known = name if self._passwords.knows(name) else ""
        who = Caller(Actor(ActorKind.OPERATOR if not rule else ActorKind.UNKNOWN, known if not rule else ""), address, "admin")
        resource = f"operator:{known}" if known else ""
        self._witness.record(
            Act("admin.login", resource, decision=Decision.DENIED if rule else Decision.GRANTED, rule=rule), by=who
        )
        if rule:
            _log.warning("admin.login_refused", address=address, rule=rule)

    # What those who have logged in ask.

    async def _give_pass(self, visit: _Visit) -> Response:
        token, ticket = self._sessions.live_pass(visit.session)
        return _json({"token": token, "ticket": ticket})

    async def _tell_figures(self, _visit: _Visit) -> Response:
        return _json(await self._desk.look())

    async def _list_methods(self, visit: _Visit) -> Response:
        return _json({"methods": sorted(name for name in self._calls.methods if may_call(visit.session.role, name))})

    async def _call(self, visit: _Visit) -> Response:
        method = visit.request.path_params["method"]
        if method not in self._calls or not (may_call("operator", method)):
            raise _Refusal(404, "no such method")
        if not may_call(visit.session.role, method):
            self._witness.record(Act("admin.call", f"api:{method}", decision=Decision.DENIED, rule="admin.users.role"))
            raise _Refusal(403, "your role may only look")
        body = await _body(visit.request, _BODY_MAX_BYTES)
        if method in OPERATES:
            # Said before it is done, so that nothing is done unseen; what it changes is written down by itself as well.
            self._witness.record(Act("admin.call", f"api:{method}", decision=Decision.GRANTED))
        try:
            result = await self._calls.call(method, body or b"{}")
        except Malformed as exc:
            raise _Refusal(400, str(exc)) from None
        return _json({"error": result} if isinstance(result, ApiError) else {"result": result})

    # Who asks, and from where.

    def _acting(self, endpoint: _Visited) -> _Endpoint:
        """Let in who has logged in and acts on the page itself."""

        async def guarded(request: Request) -> Response:
            place = self._require_own(request)
            session = self._require_session(request, place)
            if not self._sessions.is_csrf(session, request.headers.get("x-csrf-token", "")):
                raise _Refusal(403, "the request does not come from the page")
            return await endpoint(_Visit(request, place, session))

        return guarded

    def _reading(self, endpoint: _Visited) -> _Endpoint:
        async def guarded(request: Request) -> Response:
            place = self._require_place(request)
            return await endpoint(_Visit(request, place, self._require_session(request, place)))

        return guarded

    def _require_session(self, request: Request, place: Place) -> Session:
        session = self._session_of(request, place)
        if session is None:
            raise _Refusal(401, "log in first")
        bind_caller(Caller(Actor(ActorKind.OPERATOR, session.name), _address(request), "admin", self._clock.new_id().hex))
        return session

    def _require_own(self, request: Request) -> Place:
        place = self._require_place(request)
        if not self._surroundings.is_own(place, request.headers):
            raise _Refusal(403, "the request does not come from the page")
        return place

    def _require_place(self, request: Request) -> Place:
        place = self._place(request)
        if place is None:
            raise _UNSAFE
        return place

    def _place(self, request: Request) -> Place | None:
        return self._surroundings.place_of(request.scope["scheme"], request.headers.get("host", ""))

    def _session_of(self, request: Request, place: Place) -> Session | None:
        value = request.cookies.get(place.cookie, "")
        return self._sessions.read(value) if value else None


_UNSAFE: Final = _Refusal(403, "this page is served over https, or to this machine alone: see admin.origin and http.tls")


def _answered(endpoint: _Endpoint) -> _Endpoint:
    """Turn refusals into answers."""

    async def answer(request: Request) -> Response:
        try:
            return await endpoint(request)
        except _Refusal as refusal:
            return _refused(refusal)
        except Unavailable as exc:
            return _refused(_Refusal(503, f"{exc}; try again in a moment", retry_after_s=max(1, round(exc.retry_after_s))))
        except ClientDisconnect:
            return Response(status_code=400)

    return answer


def _refused(refusal: _Refusal) -> Response:
    response = _json({"error": {"code": refusal.status, "message": refusal.message}}, refusal.status)
    if refusal.retry_after_s:
        response.headers["Retry-After"] = str(refusal.retry_after_s)
    return response


async def _body(request: Request, limit: int) -> bytes:
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise _Refusal(415, "send application/json")
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > limit:
            raise _Refusal(413, f"the body must have at most {limit} bytes")
    return bytes(body)


def _json(value: Any, status: int = 200) -> Response:
    return Response(msgspec.json.encode(value), status, headers=page_headers(cache="no-store"), media_type="application/json")


def _address(request: Request) -> str:
    return request.client.host if request.client is not None else ""
