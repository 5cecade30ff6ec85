"""The operator's page as a process with clients has it: put together where its settings ask for it."""

import asyncio
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from starlette.routing import BaseRoute

from broker.pipeline_reports import PipelineReport
from gateway.admin.attempts import Attempts
from gateway.admin.figures import FigureDesk
from gateway.admin.live import LiveFigures
from gateway.admin.passwords import Passwords
from gateway.admin.place import Surroundings
from gateway.admin.routes import AdminPage
from gateway.admin.sessions import ISSUER, USER_PREFIX, Sessions
from gateway.api.call import Calls
from gateway.auth.issuers import Issuer
from gateway.auth.keys import Keyring
from gateway.commands.rpc import RpcMethod
from gateway.health_detail import HealthDetail
from gateway.node import Node
from gateway.transports.websocket import WebSocketConnection
from heliograph.ground import Ground

__all__ = ["Admin"]


class Admin:
    """Made before the node, which calls `rpc`, and opened when it is there; does nothing where the page is off."""

    def __init__(self, ground: Ground) -> None:
        self._ground, self._settings = ground, ground.settings.admin
        self._live: LiveFigures | None = None
        self._desk: FigureDesk | None = None
        self.routes: Sequence[BaseRoute] = ()
        # What another server that serves the page needs, so that its live connections end there too.
        self.server_options: Mapping[str, Any] = {}

    @property
    def rpc(self) -> Mapping[str, RpcMethod]:
        """What connections of the page call."""
        return {"admin.watch": self._watch} if self._settings.enabled else {}

    def open(self, node: Node, calls: Calls, detail: HealthDetail) -> None:
        """Make the page of a node."""
        if not self._settings.enabled:
            return
        ground, settings, engine = self._ground, self._settings, self._ground.engine
        sessions = Sessions(settings, ground.revocation, engine.control, ground.clock)
        own = Issuer("admin", Keyring.of_keys({"HS256": (sessions.live_key,)}), ISSUER, user_prefix=USER_PREFIX)
        node.tokens.connections.issuers.add(own)
        self._desk = desk = FigureDesk(
            node,
            engine.control,
            ground.store.backlog,
            ground.store.pipeline_reports,
            calls.tally,
            detail,
            ground.clock,
        )
        if (tls := ground.tls) is not None:
            desk.certificates = lambda: {"http.tls": tls.ends_at}
        self._live = LiveFigures(desk, sessions, node.hub, ground.clock)
        is_alone = urlsplit(ground.settings.broker.url).scheme == "memory"
        page = AdminPage(
            Surroundings(settings.origin),
            sessions,
            Passwords(settings.users),
            Attempts(node, None if is_alone else engine.limits, ground.clock),
            calls,
            desk,
            ground.store.audit,
            ground.clock,
        )
        self.routes = page.routes
        self.server_options = {"ws": functools.partial(WebSocketConnection.of_uvicorn, node)}

    def tell_of_pipeline(self, tell: Callable[[], PipelineReport]) -> None:
        """Have the figures tell of this process's own pipeline as it is."""
        if self._desk is not None:
            self._desk.own_pipeline = tell

    async def run(self) -> None:
        """Tell those who watch, until cancelled."""
        if self._live is None:
            await asyncio.Event().wait()
        else:
            await self._live.run()

    async def _watch(self, user: str, data: bytes) -> bytes:
        assert self._live is not None, "opened before anybody connects"
        return await self._live.watch(user, data)
