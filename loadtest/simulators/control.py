"""The simulators' own HTTP interface on loopback: what was delivered, new subscriptions, faults, counters.

It has no key: it listens on loopback only and refuses whatever a web page could send it, which is a foreign Host (DNS
rebinding) or a foreign Origin.
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.server import ServerState

from loadtest.simulators.faults import FaultSchedule, Rule
from loadtest.simulators.handling import Statistics
from loadtest.simulators.outbox import Outbox
from loadtest.simulators.subscriptions import Subscription

__all__ = ["ControlServer", "create_control"]

_LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "::1"})


class _Minting(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str = "device"
    kept: bool = False


class _Faults(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    rules: list[Rule]


def create_control(
    outbox: Outbox,
    faults: FaultSchedule,
    *,
    mint: Callable[[str, bool], Subscription],
    statistics: Callable[[], Mapping[str, Statistics]],
    reset: Callable[[], None],
) -> ASGIApp:
    """Build the application.

    `GET /outbox[?notification_id=…][&provider=…]`, `GET /stats`, `POST /faults {"rules": […]}` (replaces all), `POST /reset`,
    `POST /webpush/subscriptions {"name"?, "kept"?}` (kept: the same one whenever the name comes). A bad body is answered 400
    with `{"error"}`.
    """

    async def list_outbox(request: Request) -> Response:
        query = request.query_params
        items = outbox.items(notification_id=query.get("notification_id"), provider=query.get("provider"))
        return _json({"items": items})

    async def mint_subscription(request: Request) -> Response:
        asked = msgspec.json.decode(await request.body() or b"{}", type=_Minting)
        return _json(mint(asked.name, asked.kept))

    async def set_faults(request: Request) -> Response:
        faults.set(msgspec.json.decode(await request.body(), type=_Faults).rules)
        return _json({"rules": faults.rules})

    async def show_statistics(request: Request) -> Response:
        return _json({"providers": statistics(), "outbox": {"kept": len(outbox), "recorded": outbox.recorded}})

    async def forget_all(request: Request) -> Response:
        reset()
        return _json({})

    async def refuse_body(request: Request, exc: Exception) -> Response:
        return _json({"error": str(exc)}, status=400)

    application = Starlette(
        routes=[
            Route("/outbox", list_outbox, methods=["GET"]),
            Route("/webpush/subscriptions", mint_subscription, methods=["POST"]),
            Route("/faults", set_faults, methods=["POST"]),
            Route("/stats", show_statistics, methods=["GET"]),
            Route("/reset", forget_all, methods=["POST"]),
        ],
        exception_handlers={msgspec.DecodeError: refuse_body},
    )
    return _LoopbackOnly(application)


class _LoopbackOnly:
    """Refuses requests that were addressed to another host, or that come from a page of another one."""

    def __init__(self, application: ASGIApp) -> None:
        self._application = application

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            request = Request(scope)
            origin = request.headers.get("origin")
            if _host_of(f"//{request.headers.get('host', '')}") not in _LOOPBACK or (
                origin is not None and _host_of(origin) not in _LOOPBACK
            ):
                await _json({"error": "only for callers on this machine"}, status=403)(scope, receive, send)
                return
        await self._application(scope, receive, send)


class ControlServer:
    """Serves an application on a loopback port, beside the simulators in one loop."""

    def __init__(self, application: ASGIApp) -> None:
        self._config = uvicorn.Config(application, log_config=None, access_log=False, lifespan="off", ws="none")
        # uvicorn's protocol without its own server, which takes the process's signals and two tenths of a second to end.
        self._state = ServerState()
        self._server: asyncio.Server

    @property
    def url(self) -> str:
        """Where it listens, without a slash at the end."""
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def open(self, port: int) -> None:
        """Start serving; 0 takes a free port.

        Raises:
            OSError: The port is taken.
        """
        self._config.load()

        def make_protocol() -> asyncio.Protocol:
            made: asyncio.Protocol = self._config.http_protocol_class(  # type: ignore[call-arg]  # uvicorn's has these
                config=self._config, server_state=self._state, app_state={}
            )
            return made

        self._server = await asyncio.get_running_loop().create_server(make_protocol, "127.0.0.1", port, backlog=128)

    async def close(self) -> None:
        """Stop serving; requests under way are cut off."""
        self._server.close()
        for connection in tuple(self._state.connections):
            connection.transport.abort()
        under_way = tuple(self._state.tasks)
        for task in under_way:
            task.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)


def _json(content: Any, *, status: int = 200) -> Response:
    return Response(msgspec.json.encode(content), status_code=status, media_type="application/json")


def _host_of(url: str) -> str | None:
    try:
        return urlsplit(url).hostname
    except ValueError:
        return None
