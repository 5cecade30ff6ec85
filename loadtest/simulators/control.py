"""The simulators' own HTTP interface on loopback: what was delivered, new subscriptions, faults, counters.

It has no key: it listens on loopback only and refuses whatever a web page could send it, which is a foreign Host (DNS
rebinding) or a foreign Origin.
"""

import asyncio
import contextlib
import socket
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

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
        config = uvicorn.Config(application, log_config=None, access_log=False, lifespan="off", ws="none")
        self._server = _QuietServer(config)
        self._socket: socket.socket
        self._serving: asyncio.Task[None]

    @property
    def url(self) -> str:
        """Where it listens, without a slash at the end."""
        return f"http://127.0.0.1:{self._socket.getsockname()[1]}"

    async def open(self, port: int) -> None:
        """Start serving; 0 takes a free port.

        Raises:
            OSError: The port is taken.
        """
        self._socket = socket.create_server(("127.0.0.1", port), backlog=128)
        self._serving = asyncio.get_running_loop().create_task(
            self._server.serve(sockets=[self._socket]), name="simulator:control"
        )

    async def close(self) -> None:
        """Stop serving; requests under way are cut off."""
        self._server.should_exit = True
        self._server.force_exit = True
        await self._serving
        self._socket.close()


class _QuietServer(uvicorn.Server):
    """A server that leaves the process's signals to whoever owns the process."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _json(content: Any, *, status: int = 200) -> Response:
    return Response(msgspec.json.encode(content), status_code=status, media_type="application/json")


def _host_of(url: str) -> str | None:
    try:
        return urlsplit(url).hostname
    except ValueError:
        return None
