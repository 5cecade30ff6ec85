"""The whole life of a client; anything not listed is a bug of ours, and nothing else may assign the state."""

from collections.abc import Mapping
from enum import Enum
from typing import Final

__all__ = ["NEXT", "Event", "State"]


class State(Enum):
    """Where a client stands."""

    CONNECTING = "connecting"  # the transport is open, no successful connect yet
    REFUSED = "refused"  # connect was answered with an error: open, but any further command ends it
    CONNECTED = "connected"
    CLOSING = "closing"  # told to go; the transport is not down yet
    CLOSED = "closed"


class Event(Enum):
    """What moves it."""

    ACCEPTED = "accepted"
    REFUSED = "refused"
    DISCONNECT = "disconnect"
    TRANSPORT_LOST = "transport lost"


NEXT: Final[Mapping[tuple[State, Event], State]] = {
    (State.CONNECTING, Event.ACCEPTED): State.CONNECTED,
    (State.CONNECTING, Event.REFUSED): State.REFUSED,
    (State.CONNECTING, Event.DISCONNECT): State.CLOSING,
    (State.REFUSED, Event.DISCONNECT): State.CLOSING,
    (State.CONNECTED, Event.DISCONNECT): State.CLOSING,
    **{(state, Event.TRANSPORT_LOST): State.CLOSED for state in State if state is not State.CLOSED},
}
