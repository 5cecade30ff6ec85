"""What rooms and the turn know of a client: where its bytes go."""

from collections.abc import Callable
from typing import Protocol

from gateway.protocol.disconnects import Disconnect
from gateway.transports.transport import Wire

__all__ = ["Member"]


class Member(Protocol):
    """A client as its rooms see it."""

    wire: Wire
    write: Callable[[bytes], None]
    out: list[bytes] | tuple[()]
    """Messages that wait for the end of this turn."""

    def disconnect(self, disconnect: Disconnect) -> None:
        """Tell it to go."""
