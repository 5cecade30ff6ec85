"""The Protobuf encoding: every message with its length before it, so that several are joined by putting them in a row.

Why it is ours and not the `protobuf` package's: docs/performance.md, "Protobuf codec".
"""

from collections.abc import Iterator, Sequence
from typing import Final

from msgspec import Raw

from broker import model
from gateway.protocol.codec import CodecError
from gateway.protocol.fields import FIELDS
from gateway.protocol.forms import wire_info, wire_publication
from gateway.protocol.messages import Command, EmulationRequest, Membership, Push, Reply, raw
from gateway.protocol.protobuf_reader import reader_of
from gateway.protocol.protobuf_writer import delimited, writer_of
from gateway.protocol.wire import DELIMITED, VARINT, read_varint, tag_of, varint

__all__ = ["ProtobufCodec", "read_emulation_request"]

_read_command = reader_of(Command)
_read_emulation_request = reader_of(EmulationRequest)
_write_reply = writer_of(Reply)

# What reading past the end and bad UTF-8 raise, and nesting deeper than the stack.
_FAULTS: Final = (IndexError, UnicodeDecodeError, RecursionError)


def _tag(message: str, field: str, wire_type: int = DELIMITED) -> bytes:
    return varint(tag_of(FIELDS[message][field][0], wire_type))


_REPLY_PUSH: Final = _tag("Reply", "push")
_PUSH_CHANNEL: Final = _tag("Push", "channel")
_PUSH_PUB: Final = _tag("Push", "pub")
_PUB_DATA: Final = _tag("Publication", "data")
_PUB_OFFSET: Final = _tag("Publication", "offset", VARINT)


class ProtobufCodec:
    """Plays `gateway.protocol.codec.Codec`."""

    name = "protobuf"
    ping = b"\x00"

    def decode(self, frame: bytes) -> Iterator[Command]:
        if not frame:
            raise CodecError("a frame without a command")
        at, end = 0, len(frame)
        while at < end:
            try:
                size = frame[at]
                at += 1
                if size > 0x7F:
                    size, at = read_varint(frame, at - 1)
                start, at = at, at + size
                if at > end:
                    raise IndexError("a command is cut short")
                command = _read_command(frame[start:at])
            except _FAULTS as exc:
                raise CodecError(str(exc)) from None
            yield command

    def encode_reply(self, reply: Reply) -> bytes:
        return delimited(_write_reply(reply))

    def encode_push(self, push: Push) -> bytes:
        return delimited(_write_reply(Reply(push=push)))

    def encode_message(self, channel: str, message: model.Publication | model.Join | model.Leave) -> bytes:
        if isinstance(message, model.Publication):
            if message.info is None and not message.tags and message.offset != 1:
                return _common_publication(channel, message.data, message.offset)
            return self.encode_push(Push(channel=channel, pub=wire_publication(message, raw(message.data), is_live=True)))
        membership = Membership(wire_info(message.info))
        if isinstance(message, model.Join):
            return self.encode_push(Push(channel=channel, join=membership))
        return self.encode_push(Push(channel=channel, leave=membership))

    def encode_delta(self, channel: str, publication: model.Publication, patch: bytes | None) -> bytes:
        data = self.delta_data(publication.data, patch)
        pub = wire_publication(publication, data, is_live=True, is_delta=patch is not None)
        return self.encode_push(Push(channel=channel, pub=pub))

    def delta_data(self, payload: bytes, patch: bytes | None) -> Raw:
        return raw(payload if patch is None else patch)

    def fit(self, payload: bytes) -> bytes:
        return payload

    def join(self, messages: Sequence[bytes]) -> bytes:
        return b"".join(messages)


def read_emulation_request(body: bytes) -> EmulationRequest:
    """Read what a client of a one-way transport posts; its `data` is a frame.

    Raises:
        CodecError: It is none.
    """
    try:
        request: EmulationRequest = _read_emulation_request(body)
    except _FAULTS as exc:
        raise CodecError(str(exc)) from None
    return request


def _common_publication(channel: str, data: bytes, offset: int) -> bytes:
    """Put the most frequent push together from the inside out, without the messages that it consists of."""
    name = channel.encode()
    pub = _PUB_DATA + varint(len(data)) + data if data else b""
    if offset:
        pub += _PUB_OFFSET + varint(offset)
    push = b"".join((_PUSH_CHANNEL, varint(len(name)), name, _PUSH_PUB, varint(len(pub)), pub))
    size = varint(len(push))
    return varint(len(_REPLY_PUSH) + len(size) + len(push)) + _REPLY_PUSH + size + push
