"""Port: what a session needs of the connection beneath it."""

from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Protocol

from gateway.protocol.codec import Codec
from gateway.protocol.disconnects import Disconnect

__all__ = ["Kind", "Transport", "Wire"]


class Kind(Enum):
    """Which ways a transport goes."""

    BIDIRECTIONAL = "bidirectional"
    EMULATED = "emulated"  # one way down, and posts to /emulation on the way up
    UNIDIRECTIONAL = "unidirectional"  # after connect the client says nothing any more


class Wire(Protocol):
    """A transport's form of the protocol: the same bytes for all clients that share it. Compared by identity."""

    codec: Codec
    kind: Kind
    transport_name: str
    ping_frame: bytes
    expects_pong: bool
    """Whether somebody answers a ping, by the protocol's pong or the transport's own."""
    announces_ping: bool
    """Whether the connect result tells the interval, so that the client watches for pings of the protocol."""

    def share(self, messages: list[bytes]) -> list[bytes]:
        """Prepare messages that many clients get, in this order: what `frame` has to do with them is then done once.

        What comes back stands for the messages, perhaps fewer of them; it goes into `frame` and nowhere else.
        """

    def frame(self, messages: Sequence[bytes]) -> bytes:
        """Put encoded messages into what is written to the socket: one frame, or several where one would be too large."""


class Transport(Protocol):
    """One open connection. Every call is synchronous and cheap; what is written is buffered by the event loop."""

    wire: Wire

    def write(self, frame: bytes) -> None:
        """Hand over a frame that `wire.frame` made."""

    def close(self, disconnect: Disconnect) -> None:
        """Tell the peer why and close after what was written; `connection_lost` follows in any case, within seconds."""

    def abort(self) -> None:
        """Drop the connection and whatever was not sent."""

    def pause_reading(self) -> None:
        """Let the peer wait: commands come faster than they are worked off."""

    def resume_reading(self) -> None:
        """Read on."""

    @property
    def address(self) -> str:
        """Where the peer is (`gateway.addresses`), without its port; empty where that is not known."""

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers of the HTTP request that opened it, names in lower case."""
