"""Port: what a session needs of the connection beneath it."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from gateway.protocol.codec import Codec
from gateway.protocol.disconnects import Disconnect

__all__ = ["Transport", "Wire"]


class Wire(Protocol):
    """A transport's form of the protocol: the same bytes for all clients that share it. Compared by identity."""

    codec: Codec
    transport_name: str
    ping_frame: bytes

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
    def headers(self) -> Mapping[str, str]:
        """The headers of the HTTP request that opened it, names in lower case."""
