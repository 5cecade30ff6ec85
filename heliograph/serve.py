"""A server that is one process: `heliograph serve`, `gateway` and `pusher` without `--workers`."""

import contextlib

from starlette.routing import BaseRoute

from config.clock import SystemClock
from config.logs import configure_logging
from config.settings import Settings
from gateway.demo.routes import demo_routes
from heliograph.commands.token import make_token
from heliograph.demo import demo_context, start_simulators
from heliograph.development import Development
from heliograph.ending import Ending
from heliograph.greeting import greet
from heliograph.listening import bind, port_of
from heliograph.loop import run_loop
from heliograph.process import Process, Sockets
from heliograph.roles import Role

__all__ = ["development_routes", "run"]

_DEMO_TOKEN_S = 24 * 3600.0


def run(settings: Settings, role: Role, *, development: Development | None = None) -> int:
    """Serve until SIGTERM or SIGINT; returns the exit code.

    Raises:
        SettingsError: It cannot start; one line per reason.
    """
    configure_logging(settings.log.level, settings.log.format)
    with contextlib.ExitStack() as sockets:
        if role.has_clients:
            listener = sockets.enter_context(bind("http.port", settings.http.host, settings.http.port))
            bound = Sockets(clients=listener)
        else:
            listener = sockets.enter_context(bind("pusher.port", settings.pusher.host, settings.pusher.port))
            bound = Sockets(operations=listener)
        return run_loop(_serve(settings, role, development, bound, port_of(listener)))


async def _serve(settings: Settings, role: Role, development: Development | None, sockets: Sockets, port: int) -> int:
    ending = Ending()
    ending.heed_signals()
    async with contextlib.AsyncExitStack() as resources:
        routes: list[BaseRoute] = []
        if development is not None:
            simulators = await start_simulators(development)
            resources.push_async_callback(simulators.close)
            settings = development.settings(simulators.providers, port=port)
            routes = development_routes(settings, simulators.control)

        async def opened() -> None:
            greet(settings, role, development, port=port)

        await Process(_named(settings, port), role, sockets, routes=routes).run(ending, opened=opened)
    return 0


def _named(settings: Settings, port: int) -> Settings:
    """Name a node that has no name by where it really listens: with port 0 the settings do not say."""
    name = settings.node.name or f"{settings.http.host}:{port}"
    return settings.model_copy(update={"node": settings.node.model_copy(update={"name": name})})


def development_routes(settings: Settings, control: str) -> list[BaseRoute]:
    """Make the pages that only development mode has; the simulators' control interface is at the address `control`."""
    api_key = settings.http_api.keys[0].get_secret_value() if settings.http_api.keys else ""
    clock = SystemClock()

    def token_for(user: str) -> str:
        now = clock.now().timestamp()
        return make_token(settings, user=user, channel=None, ttl_s=_DEMO_TOKEN_S, now=now)

    return [*demo_routes(demo_context(control, api_key, token_for))]
