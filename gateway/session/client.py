"""A client: one connection with its id, its user, its state and its subscriptions.

It keeps what several parts need; what a single command needs belongs to that command. `__slots__` and shared objects
keep an idle one small: there may be a million.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from broker.control import TokenInfo
from broker.model import ClientInfo
from gateway.auth.capabilities import Capabilities
from gateway.auth.roles import Standing
from gateway.fanout import NOTHING, Turn
from gateway.protocol import disconnects
from gateway.protocol.disconnects import Disconnect
from gateway.protocol.messages import Push, Reply
from gateway.session.states import NEXT, Event, State
from gateway.session.subscription import Subscription
from gateway.transports.transport import Kind, Transport, Wire
from gateway.wheel import Note

__all__ = ["Client"]

_NO_HEADERS: Final[Mapping[str, str]] = MappingProxyType({})


class Client:
    """One connection."""

    __slots__ = (
        "_on_gone",
        "awaits_pong",
        "capabilities",
        "commands_until",
        "conn_info",
        "connected_at",
        "emulated_headers",
        "expire_at",
        "expiry_note",
        "id",
        "is_paused",
        "meta",
        "name",
        "out",
        "ping_slot",
        "session_id",
        "standing",
        "state",
        "subscribing",
        "subscriptions",
        "token",
        "token_channels",
        "trace",
        "transport",
        "turn",
        "user",
        "version",
        "wire",
        "write",
    )

    def __init__(self, client_id: str, transport: Transport, turn: Turn, on_gone: Callable[[Client], None]) -> None:
        self.id = client_id
        self.transport = transport
        self.wire: Wire = transport.wire
        # The bound method itself, so that a delivery costs one call.
        self.write: Callable[[bytes], None] = transport.write
        self.turn = turn
        self._on_gone = on_gone
        self.state = State.CONNECTING
        self.out: list[bytes] | tuple[()] = NOTHING
        self.user = ""
        self.name = ""
        self.version = ""
        self.conn_info = b""
        self.meta = b""
        # What it said in connect, for the backend; only names that a proxy passes on are kept.
        self.emulated_headers: Mapping[str, str] = _NO_HEADERS
        # What it was let in by; None where nobody signed for it.
        self.token: TokenInfo | None = None
        # Rights that it brought along or has by its roles; None for most.
        self.capabilities: Capabilities | None = None
        # What these were made of; None where it brought nothing but rights, or nothing.
        self.standing: Standing | None = None
        # The `traceparent` of its connecting, where that is written.
        self.trace = ""
        self.connected_at = 0.0
        self.expire_at = 0
        self.expiry_note: Note | None = None
        self.awaits_pong = False
        self.commands_until = 0.0
        self.is_paused = False
        self.ping_slot = -1
        # How the way up of a one-way transport finds this client; a secret between the two.
        self.session_id = "" if transport.wire.kind is Kind.BIDIRECTIONAL else secrets.token_urlsafe(16)
        self.subscriptions: dict[str, Subscription] = {}
        self.subscribing: set[str] = set()
        self.token_channels: frozenset[str] = frozenset()

    def __repr__(self) -> str:
        return f"<Client {self.id} {self.state.value} {len(self.subscriptions)} subscriptions>"

    @property
    def is_connected(self) -> bool:
        return self.state is State.CONNECTED

    @property
    def is_refused(self) -> bool:
        """Whether its connect failed: it may only go."""
        return self.state is State.REFUSED

    @property
    def is_open(self) -> bool:
        """Whether something can still be sent."""
        return self.state is not State.CLOSING and self.state is not State.CLOSED

    def info(self, channel: str = "") -> ClientInfo:
        """Tell who this is, with what its subscription to `channel` adds."""
        subscription = self.subscriptions.get(channel) if channel else None
        return ClientInfo(self.user, self.id, self.conn_info, subscription.chan_info if subscription else b"")

    def reply(self, reply: Reply) -> None:
        """Queue the answer to a command."""
        self.send(self.wire.codec.encode_reply(reply))

    def push(self, push: Push) -> None:
        """Queue something unasked."""
        self.send(self.wire.codec.encode_push(push))

    def send(self, message: bytes) -> None:
        """Queue an encoded message for the end of this turn; nothing happens once the client was told to go."""
        if not self.is_open:
            return
        if self.out:
            self.out.append(message)
        else:
            self.out = [message]
            self.turn.touch_client(self)

    def move(self, event: Event) -> None:
        """Change the state as the table allows.

        Raises:
            KeyError: The move is not in the table, which is a bug of ours.
        """
        self.state = NEXT[self.state, event]

    def ping(self) -> None:
        """Ask for a pong; written at once, it is the same for everybody."""
        if self.state is State.CONNECTED:
            self.awaits_pong = self.wire.expects_pong
            self.write(self.wire.ping_frame)

    def take_pong(self) -> None:
        """Accept a pong.

        Raises:
            DisconnectClient: Nothing was asked.
        """
        if not self.awaits_pong:
            raise disconnects.DisconnectClient(disconnects.BAD_REQUEST)
        self.awaits_pong = False

    def take_frame_pong(self) -> None:
        """Accept the transport's own pong where its own ping was sent; elsewhere it means nothing."""
        if not self.wire.announces_ping or self.wire.kind is Kind.UNIDIRECTIONAL:
            self.awaits_pong = False

    def check_pong(self) -> None:
        """End a connection whose pong is overdue, unless we are the ones who do not read."""
        if self.awaits_pong and not self.is_paused:
            self.disconnect(disconnects.NO_PONG)

    def pause_reading(self) -> None:
        """Let the peer wait."""
        self.is_paused = True
        self.transport.pause_reading()

    def resume_reading(self) -> None:
        """Read on."""
        self.is_paused = False
        self.transport.resume_reading()

    def disconnect(self, disconnect: Disconnect) -> None:
        """Tell the client to go, after what was queued; once, whoever comes first. Safe to call at any time."""
        if not self.is_open:
            return
        if disconnect is disconnects.SLOW:
            self.out = NOTHING
            self.write = _discard  # more of it is just what it cannot take
        self.move(Event.DISCONNECT)
        # Leaving the rooms writes what they held for it; nothing may follow the close frame.
        self._on_gone(self)
        self.turn.flush_client(self)
        self.transport.close(disconnect)

    def lose(self) -> None:
        """The transport is down."""
        if self.state is State.CLOSED:
            return
        was_open = self.is_open
        self.move(Event.TRANSPORT_LOST)
        self.out = NOTHING
        self.write = _discard
        if was_open:
            self._on_gone(self)


def _discard(_frame: bytes) -> None:
    """Write nothing."""
