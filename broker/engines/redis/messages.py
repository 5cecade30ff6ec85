"""What nodes tell each other: one tagged union, as msgpack. Receivers ignore fields and kinds that they do not know."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

import msgspec

from broker.control import Command, ConnectionInfo, NodeInfo

__all__ = [
    "Answer",
    "Ask",
    "Blocked",
    "Message",
    "Older",
    "Perform",
    "Question",
    "Revoked",
    "Say",
    "Subject",
    "encode",
]


class Question(StrEnum):
    """What a survey asks every node."""

    NODES = "nodes"
    CHANNELS = "channels"
    CONNECTIONS = "connections"


class Perform(msgspec.Struct, frozen=True, tag="perform"):
    """Carry a command out on your connections."""

    sender: str
    command: Command


class Ask(msgspec.Struct, frozen=True, tag="ask"):
    """Answer a question on the sender's own channel; `user` is whose connections are asked for."""

    sender: str
    survey: int
    question: Question
    user: str = ""


class Answer(msgspec.Struct, frozen=True, tag="answer"):
    """A node's answer: the encoded value, or the number of parts of it that lie on the server until they are fetched."""

    sender: str
    survey: int
    body: bytes = b""
    parts: int = 0


class Revoked(msgspec.Struct, frozen=True, tag="token", array_like=True):
    """A word is about this token."""

    token_id: str


class Older(msgspec.Struct, frozen=True, tag="older", array_like=True):
    """A word is about a user's older tokens; those for `channel`, or all of them for ""."""

    user: str
    channel: str


class Blocked(msgspec.Struct, frozen=True, tag="blocked", array_like=True):
    """A word is about a user."""

    user: str


Subject = Revoked | Older | Blocked


class Say(msgspec.Struct, frozen=True, tag="say"):
    """A word about who is not let in, as it stands on the server after a change.

    Attributes:
        until: Unix seconds or infinity; 0 where the word was taken back.
        since: For older tokens, the moment before which they were issued.
        life, number: The server's version of all words right after this one.
    """

    sender: str
    subject: Subject
    until: float
    since: float
    life: str
    number: int


Message = Perform | Ask | Answer | Say

# The values that answer each question; those of several nodes are put together.
NodesBody = list[NodeInfo]
ChannelsBody = Mapping[str, int]
ConnectionsBody = Mapping[str, ConnectionInfo]

_encoder = msgspec.msgpack.Encoder()


def encode(value: Any) -> bytes:
    """Write a message, or a value within one."""
    return _encoder.encode(value)
