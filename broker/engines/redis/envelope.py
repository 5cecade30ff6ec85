"""How publications, joins and leaves travel through Redis: the layout in bytes, with little around the payload.

A publication's *body* is what a stream keeps: one byte of flags; where a publisher's info or tags are there, their length (4
bytes) and they themselves as a MessagePack array; then the payload to the end. A publication that is traced has its
`traceparent` behind them in that array, where nodes that know of none read over it. What a topic carries begins with its kind:

    P  offset (8 bytes), epoch (8 letters), time in ms (8), body    a publication in a stream, as `lua/publish.lua` writes it
    p  body                                                         a publication in no stream
    J  info as a MessagePack array                                  somebody came
    L  the same                                                     somebody left
"""

from collections.abc import Sequence
from struct import Struct
from struct import error as _StructError
from typing import Final

import msgspec

from broker.errors import BrokerError
from broker.model import NO_TAGS, ClientInfo, Join, Leave, Publication

__all__ = ["Garbled", "decode_kept", "decode_message", "encode_body", "encode_membership", "encode_unkept"]

_HAS_HEAD: Final = 1
_IS_DELTA: Final = 2
_PLACE: Final = Struct(">Q8sQ")
_PLACE_END: Final = 1 + _PLACE.size
_LENGTH: Final = Struct(">I")

_Info = tuple[str, str, bytes, bytes]


class Garbled(BrokerError):
    """These bytes are none of ours, or of a version that this one does not know."""


class _Head(msgspec.Struct, frozen=True, array_like=True):
    info: _Info | None
    tags: dict[str, str]


class _TracedHead(_Head, frozen=True, array_like=True):
    trace: str = ""


_encode = msgspec.msgpack.Encoder().encode
_decode_head = msgspec.msgpack.Decoder(_TracedHead).decode
_decode_info = msgspec.msgpack.Decoder(_Info).decode


def encode_body(publication: Publication) -> bytes:
    """Write what a stream keeps of a publication: all but its position and time."""
    flags = _IS_DELTA if publication.delta else 0
    if publication.info is None and not publication.tags and not publication.trace:
        return bytes((flags,)) + publication.data
    info = publication.info
    told = None if info is None else _info_of(info)
    tags = dict(publication.tags)
    # An untraced publication has the same bytes whether or not tracing is on.
    head = _encode(_TracedHead(told, tags, publication.trace) if publication.trace else _Head(told, tags))
    return b"".join((bytes((flags | _HAS_HEAD,)), _LENGTH.pack(len(head)), head, publication.data))


def encode_unkept(publication: Publication) -> bytes:
    """Write the message of a publication that is in no stream."""
    return b"p" + encode_body(publication)


def encode_membership(message: Join | Leave) -> bytes:
    """Write the message of a join or leave."""
    return (b"J" if isinstance(message, Join) else b"L") + _encode(_info_of(message.info))


def decode_message(message: bytes) -> Publication | Join | Leave:
    """Read what came over a topic.

    Raises:
        Garbled: It cannot be read.
    """
    kind = message[:1]
    try:
        if kind == b"P":
            offset, epoch, time_ms = _PLACE.unpack_from(message, 1)
            return _decode_body(message, _PLACE_END, offset, epoch.decode("ascii"), time_ms)
        if kind == b"p":
            return _decode_body(message, 1, 0, "", 0)
        if kind == b"J":
            return Join(ClientInfo(*_decode_info(memoryview(message)[1:])))
        if kind == b"L":
            return Leave(ClientInfo(*_decode_info(memoryview(message)[1:])))
    except (ValueError, IndexError, OverflowError, _StructError, msgspec.DecodeError) as exc:
        raise Garbled(f"a message of kind {kind!r} cannot be read") from exc
    raise Garbled(f"messages of kind {kind!r} are not known")


def decode_kept(bodies: Sequence[bytes], first_offset: int, epoch: str) -> list[Publication]:
    """Read what a stream keeps, from `first_offset` on.

    Raises:
        Garbled: One cannot be read.
    """
    try:
        return [_decode_body(body, 0, offset, epoch, 0) for offset, body in enumerate(bodies, first_offset)]
    except (ValueError, IndexError, OverflowError, _StructError, msgspec.DecodeError) as exc:
        raise Garbled("a kept publication cannot be read") from exc


def _decode_body(message: bytes, at: int, offset: int, epoch: str, time_ms: int) -> Publication:
    """Read a body that begins at an index; its payload is the one thing that is copied."""
    flags = message[at]
    if not flags & _HAS_HEAD:
        return Publication(message[at + 1 :], offset, epoch, None, NO_TAGS, bool(flags & _IS_DELTA), time_ms)
    (length,) = _LENGTH.unpack_from(message, at + 1)
    begin = at + 1 + _LENGTH.size
    end = begin + length
    if end > len(message):
        raise ValueError("is cut short")
    head = _decode_head(memoryview(message)[begin:end])
    info = None if head.info is None else ClientInfo(*head.info)
    tags = head.tags or NO_TAGS
    return Publication(message[end:], offset, epoch, info, tags, bool(flags & _IS_DELTA), time_ms, head.trace)


def _info_of(info: ClientInfo) -> _Info:
    return info.user, info.client, info.conn_info, info.chan_info
