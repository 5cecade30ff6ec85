"""The history of a run: everything that was asked, answered, delivered and sent, each with its moment.

A *seat* is one subscription of one subscriber, across all the connections it needed: what an SDK calls a subscription.
Moments are seconds of any one clock; only their order counts. A history is kept as JSON lines, one event a line.
"""

from collections.abc import Iterable
from typing import Literal

import msgspec

__all__ = [
    "Acked",
    "Answered",
    "Asked",
    "Ended",
    "Event",
    "Left",
    "Notified",
    "Received",
    "Sent",
    "Subscribed",
    "read_lines",
    "to_lines",
]


class Asked(msgspec.Struct, frozen=True, tag="asked"):
    """A publisher asked for a publication; `key` names it and travels in its data."""

    at: float
    channel: str
    key: str


class Answered(msgspec.Struct, frozen=True, tag="answered"):
    """What the publisher was told; `unknown` where it got no answer. A position comes with `accepted` only."""

    at: float
    channel: str
    key: str
    outcome: Literal["accepted", "refused", "unknown"]
    offset: int = 0
    epoch: str = ""


class Subscribed(msgspec.Struct, frozen=True, tag="subscribed"):
    """A seat was taken or taken again, at a position; what was recovered follows as `Received`."""

    at: float
    seat: str
    channel: str
    offset: int
    epoch: str
    was_recovering: bool = False
    recovered: bool = False


class Received(msgspec.Struct, frozen=True, tag="received"):
    """A publication reached a seat."""

    at: float
    seat: str
    channel: str
    key: str
    offset: int


class Left(msgspec.Struct, frozen=True, tag="left"):
    """A seat was given up for good: nothing is owed to it any more."""

    at: float
    seat: str
    channel: str


class Notified(msgspec.Struct, frozen=True, tag="notified"):
    """A notification was accepted."""

    at: float
    notification: str


class Sent(msgspec.Struct, frozen=True, tag="sent"):
    """A provider got a call: for which notification and address, under which handle (apns-id, collapse key, Message-ID)."""

    at: float
    notification: str
    address: str
    handle: str


class Acked(msgspec.Struct, frozen=True, tag="acked"):
    """An acknowledgement was answered with success."""

    at: float
    notification: str


class Ended(msgspec.Struct, frozen=True, tag="ended"):
    """The state that a notification was found in when all was quiet."""

    at: float
    notification: str
    state: str


Event = Asked | Answered | Subscribed | Received | Left | Notified | Sent | Acked | Ended

_LINES: msgspec.json.Decoder[Event] = msgspec.json.Decoder(Event)


def to_lines(events: Iterable[Event]) -> bytes:
    """Write a history as JSON lines."""
    return msgspec.json.Encoder().encode_lines(list(events))


def read_lines(text: bytes) -> list[Event]:
    """Read a history back.

    Raises:
        msgspec.ValidationError: A line is no event.
    """
    return list(_LINES.decode_lines(text))
