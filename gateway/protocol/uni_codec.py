"""The JSON encoding of unidirectional transports: bare pushes downwards, one bare connect request upwards."""

from collections.abc import Iterator

import msgspec

from broker.model import Join, Leave, Publication
from gateway.protocol.codec import CodecError
from gateway.protocol.json_codec import JsonCodec
from gateway.protocol.messages import Command, ConnectRequest, Push, Reply

__all__ = ["UniJsonCodec"]

_decoder = msgspec.json.Decoder(ConnectRequest | None)
_encode = msgspec.json.encode
_WRAPPER = b'{"push":'


class UniJsonCodec(JsonCodec):
    """Plays `gateway.protocol.codec.Codec`. A reply can only be that of connect: there are no other commands."""

    name = "uni_json"

    def decode(self, frame: bytes) -> Iterator[Command]:
        try:
            request = _decoder.decode(frame)  # a literal null counts as an empty request
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
            raise CodecError(str(exc)) from None
        yield Command(id=1, connect=request or ConnectRequest())

    def encode_reply(self, reply: Reply) -> bytes:
        return _encode(Push(connect=reply.connect))

    def encode_push(self, push: Push) -> bytes:
        return _encode(push)

    def encode_message(self, channel: str, message: Publication | Join | Leave) -> bytes:
        # The wrapped form costs one slice more than a second encoder would, and there is one place to mend.
        return super().encode_message(channel, message)[len(_WRAPPER) : -1]
