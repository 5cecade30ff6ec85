"""Port: how messages become bytes and back. One codec per encoding; stateless, shared by all connections."""

from collections.abc import Iterator, Sequence
from typing import Protocol

from msgspec import Raw

from broker.model import Join, Leave, Publication
from gateway.protocol.messages import Command, Push, Reply

__all__ = ["Codec", "CodecError", "UnfitPayload"]


class CodecError(Exception):
    """A frame cannot be read; the commands before the fault were handed out."""


class UnfitPayload(Exception):
    """A payload cannot travel in this encoding (bytes that are no JSON, to a JSON connection: 3506)."""


class Codec(Protocol):
    """An encoding of the protocol."""

    name: str
    ping: bytes
    """The encoded empty reply that asks for a pong."""

    def decode(self, frame: bytes) -> Iterator[Command]:
        """Hand out the commands of a frame one by one; a pong is a command with nothing set.

        Raises:
            CodecError: At the first command that cannot be read, or when the frame holds none.
        """

    def encode_reply(self, reply: Reply) -> bytes:
        """Encode one reply.

        Its payloads are JSON on one line already, or have passed `fit`. Infos are so from the moment they come in: tokens,
        the API and the backend are refused anything else, so that nobody has to look again.
        """

    def encode_push(self, push: Push) -> bytes:
        """Encode one push."""

    def encode_message(self, channel: str, message: Publication | Join | Leave) -> bytes:
        """Encode what an engine delivered: the hot path of fan-out, once per publication and encoding.

        Raises:
            UnfitPayload: The payload is not of this encoding.
        """

    def encode_delta(self, channel: str, publication: Publication, patch: bytes | None) -> bytes:
        """Encode a publication for those who negotiated deltas: as a patch of the one before, or whole with None.

        Raises:
            UnfitPayload: The payload, or the patch, is not of this encoding.
        """

    def delta_data(self, payload: bytes, patch: bytes | None) -> Raw:
        """Put a payload, or its patch of the one before, into the form of negotiated deltas.

        Raises:
            UnfitPayload: As above.
        """

    def fit(self, payload: bytes) -> bytes:
        """Make a payload ready for this encoding: what clients and backends brought as bytes, once for all who get it.

        Raises:
            UnfitPayload: It cannot be.
        """

    def join(self, messages: Sequence[bytes]) -> bytes:
        """Put encoded messages into one frame's payload."""
