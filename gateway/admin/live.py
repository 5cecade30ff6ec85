"""Live figures over our own protocol: told to those who watch, every two seconds while somebody does, and else not gathered.

A page connects like every client, by a token that only our key signs, and then calls `admin.watch` with a ticket. What it is
told comes as publications in `$admin:figures`, which is no channel that anybody could enter: no room stands behind it,
publishing or subscribing there leads nowhere near this module, and no token of an application replaces the ticket.
"""

from collections.abc import Mapping
from typing import Final

import msgspec

from broker.bell import Bell
from config.clock import Clock
from config.logs import get_logger
from gateway.admin.figures import FigureDesk
from gateway.admin.sessions import USER_PREFIX, Session, Sessions
from gateway.commands.rpc import RpcMethod
from gateway.hub import Hub
from gateway.protocol import errors
from gateway.protocol.errors import ClientError
from gateway.protocol.messages import Publication, Push
from gateway.session.client import Client

__all__ = ["CHANNEL", "LiveFigures"]

_log = get_logger()

CHANNEL: Final = "$admin:figures"
INTERVAL_S: Final = 2.0
_WATCHERS_MAX: Final = 200


class _Watch(msgspec.Struct, forbid_unknown_fields=True):
    ticket: str
    client: str


_request = msgspec.json.Decoder(_Watch)


class LiveFigures:
    """Keeps who watches; `run` tells them."""

    def __init__(self, desk: FigureDesk, sessions: Sessions, hub: Hub, clock: Clock) -> None:
        self._desk, self._sessions, self._hub, self._clock = desk, sessions, hub, clock
        self._watchers: dict[Client, Session] = {}
        self._bell = Bell(clock)

    def __len__(self) -> int:
        return len(self._watchers)

    @property
    def rpc(self) -> Mapping[str, RpcMethod]:
        """The one method."""
        return {"admin.watch": self.watch}

    async def watch(self, user: str, data: bytes) -> bytes:
        """Tell a connection from now on, until it or its session ends.

        Raises:
            ClientError: 103, where the ticket is none or another's; 104, where the connection is not the user's, or not here.
        """
        try:
            asked = _request.decode(data)
        except msgspec.MsgspecError:
            raise ClientError(errors.BAD_REQUEST) from None
        session = self._sessions.read_ticket(asked.ticket)
        if session is None or user != USER_PREFIX + session.name:
            raise ClientError(errors.PERMISSION_DENIED)
        found = self._hub.find(user, asked.client)
        if not asked.client or not found:
            raise ClientError(errors.METHOD_NOT_FOUND)
        if len(self._watchers) >= _WATCHERS_MAX:
            raise ClientError(errors.LIMIT_EXCEEDED)
        self._watchers[found[0]] = session
        self._bell.ring()
        return b"{}"

    async def run(self) -> None:
        """Tell until cancelled."""
        while True:
            if not self._watchers:
                await self._bell.wait()
            self._forget_gone()
            if self._watchers:
                await self._tell()
                await self._clock.sleep(INTERVAL_S)

    async def _tell(self) -> None:
        try:
            figures = await self._desk.look()
        except Exception:  # the edge of a look: the next one may be better
            _log.exception("admin.figures_failed")
            return
        push = Push(channel=CHANNEL, pub=Publication(msgspec.Raw(msgspec.json.encode(figures))))
        for client in self._watchers:
            client.push(push)

    def _forget_gone(self) -> None:
        gone = [
            client
            for client, session in self._watchers.items()
            if not client.is_connected or not self._sessions.goes_on(session)
        ]
        for client in gone:
            del self._watchers[client]
